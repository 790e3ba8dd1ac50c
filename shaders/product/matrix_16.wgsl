// Cooperative matrices of 16 x 16.
const SIDE = 16u;
alias Left = coop_mat16x16<f16, A>;
alias Right = coop_mat16x16<f16, B>;
alias Total = coop_mat16x16<f32, C>;
