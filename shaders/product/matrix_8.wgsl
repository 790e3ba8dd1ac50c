// Cooperative matrices of 8 x 8.
const SIDE = 8u;
alias Left = coop_mat8x8<f16, A>;
alias Right = coop_mat8x8<f16, B>;
alias Total = coop_mat8x8<f32, C>;
