//! Networks that one dispatch computes.

use crate::nn::network::{Network, StageKind, Sums};
use crate::ops::elementwise::Elementwise;
use crate::ops::network::fused::{Chain, Layer};

impl Network {
    /// The network without dropout, if it is a chain of small dense layers, but for a softmax at the end.
    pub fn chain(&self) -> Option<Chain> {
        let stages = match self.stages.split_last() {
            Some((last, others)) if matches!(last.kind, StageKind::Softmax { .. }) => others,
            _ => &self.stages[..],
        };
        let linear = Elementwise::default();
        let mut layers: Vec<Layer> = Vec::new();
        for stage in stages {
            let activation = stage.epilogue.activation;
            match stage.kind {
                StageKind::Weighted(
                    Sums::Dense {
                        rows: 1, outputs, ..
                    },
                    parameters,
                ) => {
                    layers.push(Layer {
                        outputs,
                        kernel: parameters.offset,
                        bias: parameters.bias,
                        activation,
                    });
                }
                StageKind::Dropout(..) => {}
                StageKind::Epilogue if activation == linear => {}
                StageKind::Epilogue => {
                    let before = layers.last_mut().filter(|layer| layer.activation == linear);
                    before?.activation = activation;
                }
                _ => return None,
            }
        }
        Chain::of(self.input_shape.iter().product(), layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Activation::{Linear, Relu, Selu, Sigmoid, Softmax};
    use crate::nn::{AlphaDropout, Conv2d, Dense, Dropout, Flatten, Layer as AnyLayer};

    const ALIGNMENT: usize = 64;

    fn chain(input: &[usize], layers: &[AnyLayer]) -> Option<Chain> {
        Network::new(input, layers, 1, ALIGNMENT, true)
            .unwrap()
            .chain()
    }

    fn dense(units: usize, activation: crate::nn::Activation) -> AnyLayer {
        Dense::new(units).activation(activation).into()
    }

    fn layer(
        outputs: usize,
        kernel: usize,
        bias: bool,
        activation: crate::nn::Activation,
    ) -> Layer {
        Layer {
            outputs,
            kernel,
            bias,
            activation: activation.elementwise("").unwrap().unwrap(),
        }
    }

    #[test]
    fn dense_layers_are_a_chain_with_their_weights_where_they_are() {
        // 2 x 5 + 5 values end before 64, and 5 x 3 more before 128.
        let expected = [
            layer(5, 0, true, Selu),
            layer(3, 64, false, Selu),
            layer(2, 128, true, Sigmoid),
        ];
        let second = Dense::new(3).use_bias(false).activation(Selu);
        let layers = [dense(5, Selu), second.into(), dense(2, Sigmoid)];
        assert_eq!(chain(&[2], &layers), Chain::of(2, expected.into()));
        assert!(chain(&[2], &layers).is_some());
    }

    /// The trainable parameters come first.
    #[test]
    fn frozen_layers_have_their_weights_behind_the_others() {
        let frozen = Dense::new(5).activation(Selu).trainable(false);
        let layers = [frozen.into(), dense(2, Linear)];
        let expected = [layer(5, 64, true, Selu), layer(2, 0, true, Linear)];
        let found = chain(&[2], &layers);
        assert_eq!(found, Chain::of(2, expected.into()));
    }

    #[test]
    fn dropout_flatten_and_a_softmax_at_the_end_are_no_part_of_a_chain() {
        let plain = chain(&[6], &[dense(5, Relu), dense(4, Linear)]);
        let with = [
            Flatten::new().into(),
            Dropout::new(0.1).into(),
            dense(5, Linear),
            AlphaDropout::new(0.1).into(),
            Relu.into(),
            Dropout::new(0.1).noise_shape([Some(1), None]).into(),
            dense(4, Softmax),
        ];
        assert_eq!(chain(&[2, 3], &with), plain);
        assert!(plain.is_some());
    }

    #[test]
    fn other_networks_are_no_chain() {
        let two = [dense(5, Selu), dense(2, Linear)];
        assert_eq!(chain(&[2, 3], &two), None, "two rows a sample");
        assert_eq!(chain(&[129], &two), None, "a wide input");
        assert_eq!(
            chain(&[2], &[dense(129, Selu), dense(2, Linear)]),
            None,
            "a wide layer"
        );
        assert_eq!(chain(&[2], &[dense(5, Selu)]), None, "one layer");
        let layers: Vec<_> = (0..17).map(|_| dense(5, Selu)).collect();
        assert!(chain(&[2], &layers[..16]).is_some());
        assert_eq!(chain(&[2], &layers), None, "17 layers");
        let mixed = [dense(5, Selu), dense(5, Relu), dense(2, Linear)];
        assert_eq!(chain(&[2], &mixed), None, "two activations");
        let softmax = [dense(5, Softmax), dense(2, Linear)];
        assert_eq!(chain(&[2], &softmax), None, "a softmax inside");
        let image = [
            Conv2d::new(1, [1, 1]).into(),
            Flatten::new().into(),
            dense(2, Linear),
        ];
        assert_eq!(chain(&[2, 2, 1], &image), None, "a convolution");
    }
}
