/// Repeatable values that are distributed like trained matrices: each is a sum of four uniform ones.
pub(crate) fn noise() -> impl FnMut() -> f32 {
    let mut seed = 7u64;
    let mut uniform = move || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    move || (uniform() + uniform() + uniform() + uniform()) * 0.035
}
