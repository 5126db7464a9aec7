//! Tests for every format; the root package tests equality with ggml.

use super::*;

const BLOCKS: [TensorType; 8] = [
    TensorType::Q4_0,
    TensorType::Q4_1,
    TensorType::Q5_0,
    TensorType::Q5_1,
    TensorType::Q8_0,
    TensorType::Q4K,
    TensorType::Q5K,
    TensorType::Q6K,
];

/// Reproducible values in -1..1, each the sum of two uniform ones.
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..n).map(|_| rng.f32() + rng.f32() - 1.0).collect()
}

fn quantized(isa: Isa, ty: TensorType, x: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; ty.row_bytes(x.len() as u64).unwrap() as usize];
    quantize_row_with(isa, ty, x, &mut bytes);
    bytes
}

fn dequantized(ty: TensorType, bytes: &[u8], n: usize) -> Vec<f32> {
    let mut y = vec![f32::NAN; n];
    dequantize_row(ty, bytes, &mut y);
    y
}

fn rmse(x: &[f32], y: &[f32]) -> f64 {
    let sum: f64 = x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2)).sum();
    (sum / x.len() as f64).sqrt()
}

#[test]
fn every_instruction_set_writes_the_same_bytes() {
    let mut x = noise(256 * 37, 1);
    x[1024..1280].fill(0.0);
    x[2000..2100].fill(0.125);
    x[2600] = 1e4;
    x[3000..3300].iter_mut().for_each(|v| *v *= 1e-30);
    x[4000..4300].iter_mut().for_each(|v| *v = v.abs());
    for ty in BLOCKS {
        let want = quantized(Isa::best(), ty, &x);
        for isa in Isa::available() {
            assert!(
                quantized(isa, ty, &x) == want,
                "{ty} on {isa} is not what {} writes",
                Isa::best()
            );
        }
    }
}

#[test]
fn the_error_is_what_the_bits_allow() {
    // RMSE divided by the root mean square, as measured for this distribution. With so many weights, seeds differ by
    // less than half a per cent.
    let measured = [
        0.07560, 0.07172, 0.03735, 0.03464, 0.00465, 0.06496, 0.03284, 0.01593,
    ];
    let x = noise(256 * 512, 2);
    let norm = rmse(&x, &vec![0.0; x.len()]);
    for (ty, want) in BLOCKS.into_iter().zip(measured) {
        let error = rmse(&x, &dequantized(ty, &quantized(Isa::best(), ty, &x), x.len())) / norm;
        assert!((0.99..1.01).contains(&(error / want)), "{ty}: {error:.5}");
    }
}

#[test]
fn zeros_stay_zeros() {
    for ty in BLOCKS {
        let y = dequantized(ty, &quantized(Isa::best(), ty, &[0.0; 512]), 512);
        assert!(y.iter().all(|v| *v == 0.0), "{ty}");
    }
}

#[test]
fn a_row_is_quantized_as_its_blocks_are() {
    let x = noise(256 * 5, 3);
    for ty in BLOCKS {
        let alone: Vec<u8> = x
            .chunks(256)
            .flat_map(|x| quantized(Isa::best(), ty, x))
            .collect();
        assert!(alone == quantized(Isa::best(), ty, &x), "{ty}");
    }
}

#[test]
fn values_that_are_not_finite_do_no_harm() {
    for bad in [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN_POSITIVE / 8.0,
    ] {
        for ty in TensorType::all().filter(|ty| supports(*ty)) {
            for isa in Isa::available() {
                let mut x = noise(512, 4);
                x[100..130].fill(bad);
                x[300] = bad;
                let bytes = quantized(isa, ty, &x);
                assert_eq!(dequantized(ty, &bytes, 512).len(), 512);
                quantized(isa, ty, &[bad; 512]);
            }
        }
    }
}

#[test]
fn any_bytes_dequantize() {
    for ty in TensorType::all().filter(|ty| supports(*ty)) {
        for fill in [0x00, 0x7c, 0x80, 0xff] {
            let bytes = vec![fill; ty.row_bytes(512).unwrap() as usize];
            dequantized(ty, &bytes, 512);
        }
    }
}

#[test]
#[should_panic(expected = "256 weights of q4_K do not take 143 bytes")]
fn a_destination_of_the_wrong_size_is_the_callers_mistake() {
    quantize_row(TensorType::Q4K, &[0.0; 256], &mut [0; 143]);
}
