//! Evaluation, batch after batch.

use std::collections::VecDeque;

use super::run::ordered;
use super::score::{Score, Sums};
use super::step::{AHEAD, Evaluation, Records};
use crate::Result;
use crate::gpu::{platform, transfer};
use crate::nn::data::Feed;
use crate::nn::{Dataset, Sequential};

impl Sequential {
    /// The score on `data`. Dropout is the identity. Does not block.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train); [`Error::Data`](crate::Error::Data) if all targets are void. A NaN
    /// is a loss like any other here.
    pub async fn evaluate_async(&self, data: &Dataset) -> Result<Score> {
        self.evaluate_by(data, &platform::wait_aside).await
    }

    pub(in crate::nn) async fn evaluate_by(
        &self,
        data: &Dataset,
        progress: &impl transfer::Progress,
    ) -> Result<Score> {
        const OP: &str = "evaluate";
        data.check(self.expected(OP, None))?;
        let loss = self.loss_for(OP, None, data.target_kind())?;
        let evaluation = self.evaluation(data.len(), loss)?;
        let feed = Feed::new(data, self.expected(OP, Some(loss)), evaluation.places())?;
        feed.write(&self.gpu, &ordered(data.len()))?;
        let records = Records::new(&self.gpu, evaluation.records(0, data.len()))?;
        let sums = self.sums(&evaluation, &feed, &records, progress).await;
        if sums.is_err() {
            self.buffers().forget_evaluation();
        }
        let sums = sums?;
        sums.check(OP, loss)?;
        sums.check_any(OP)?;
        Ok(sums.score(loss))
    }

    async fn sums(
        &self,
        evaluation: &Evaluation,
        feed: &Feed,
        records: &Records,
        progress: &impl transfer::Progress,
    ) -> Result<Sums> {
        let mut sums = Sums::default();
        let mut flights = VecDeque::new();
        for i in 0..records.len() {
            let step = records.bound(&self.gpu, i)?;
            flights.push_back(evaluation.submit(&self.gpu, feed.owner, &feed.dispatches, step)?);
            if flights.len() >= AHEAD
                && let Some(mut flight) = flights.pop_front()
            {
                sums.add(&flight.land(&self.gpu, progress).await?);
            }
        }
        for mut flight in flights {
            sums.add(&flight.land(&self.gpu, progress).await?);
        }
        Ok(sums)
    }
}
