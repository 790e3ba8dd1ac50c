//! Evaluation, batch after batch.

use std::collections::VecDeque;

use super::run::ordered;
use super::score::{Score, Sums};
use super::step::AHEAD;
use crate::gpu::transfer;
use crate::nn::data::Feed;
use crate::nn::{Dataset, Sequential};
use crate::ops::network::step::Steps;
use crate::{Error, Result};

impl Sequential {
    pub(super) async fn evaluate_by(
        &self,
        data: &Dataset,
        progress: &impl transfer::Progress,
    ) -> Result<Score> {
        const OP: &str = "evaluate";
        data.check(self.expected(OP, None))?;
        let loss = self.loss_for(OP, None, data.target_kind())?;
        let (evaluation, totals) = self.evaluation(data.len(), loss)?;
        let feed = Feed::new(data, self.expected(OP, Some(loss)), evaluation.places())?;
        feed.write(&self.gpu, &ordered(data.len()))?;
        let records = evaluation.records(0, data.len());
        let steps = Steps::new(&self.gpu, records.len())?;
        steps.write(&self.gpu, &records)?;
        let mut sums = Sums::default();
        let mut flights = VecDeque::new();
        for i in 0..records.len() {
            let step = steps.bound(i);
            flights.push_back(evaluation.submit(&self.gpu, &totals, &feed.dispatches, step)?);
            if flights.len() > AHEAD
                && let Some(flight) = flights.pop_front()
            {
                sums.add(&flight.land(&self.gpu, progress).await?);
            }
        }
        for flight in flights {
            sums.add(&flight.land(&self.gpu, progress).await?);
        }
        sums.check(OP, loss)?;
        if sums.is_empty() {
            return Err(Error::Data {
                op: OP,
                detail: "all targets are void, there is nothing to average".into(),
            });
        }
        Ok(sums.score(loss))
    }
}
