//! Checks attention against f64, and that a token's bits do not depend on what is computed beside it.

use siskin_kernels::check::attention::{AttentionCase, Shape};
use siskin_kernels::{AttentionKernel, CacheFormat, Isa};

use CacheFormat::{F16, Q4_0, Q8_0};

fn kernels() -> Vec<(Isa, AttentionKernel)> {
    let kernel = |isa| Some((isa, AttentionKernel::new(isa)?));
    let kernels: Vec<(Isa, AttentionKernel)> = Isa::ALL.into_iter().filter_map(kernel).collect();
    siskin_testing::expect_kernels(!kernels.is_empty());
    kernels
}

/// Streams, tokens, cells; heads of keys, heads that share them, numbers per head; types of keys and values;
/// factor for queries.
type Row = ([usize; 3], [usize; 3], [CacheFormat; 2], f32);

const SHAPES: [Row; 16] = [
    ([1, 1, 256], [4, 8, 64], [F16, F16], 1.0),
    ([1, 1, 512], [2, 4, 64], [Q8_0, Q8_0], 1.0),
    ([1, 1, 300], [3, 1, 64], [Q4_0, Q4_0], 1.0),
    ([1, 1, 257], [2, 1, 256], [F16, F16], 20.0),
    ([1, 1, 33], [2, 2, 16], [F16, F16], 1.0),
    ([1, 1, 1000], [1, 6, 128], [F16, Q8_0], 200.0),
    ([1, 1, 64], [1, 4, 80], [F16, F16], 1.0),
    ([1, 1, 1], [2, 7, 32], [Q8_0, F16], 1.0),
    ([1, 2, 100], [2, 1, 48], [F16, F16], 1.0),
    ([1, 3, 100], [2, 3, 96], [Q4_0, F16], 1.0),
    ([1, 5, 130], [1, 33, 64], [F16, Q4_0], 1.0),
    ([1, 8, 200], [4, 1, 64], [F16, F16], 1.0),
    ([1, 8, 150], [2, 8, 64], [Q8_0, Q4_0], 1.0),
    ([1, 11, 140], [3, 2, 64], [F16, F16], 1.0),
    ([3, 1, 140], [2, 4, 64], [F16, F16], 1.0),
    ([2, 4, 140], [2, 2, 256], [Q8_0, Q8_0], 1.0),
];

fn shape((counts, heads, [k, v], size): Row) -> Shape {
    let ([streams, tokens, cells], [kv_heads, group, dim]) = (counts, heads);
    Shape {
        streams,
        tokens,
        cells,
        kv_heads,
        group,
        dim,
        k,
        v,
        size,
    }
}

/// Whether a token of a stream sees a cell of so many.
type Sees = fn(Shape, usize, usize, usize) -> bool;

/// Named masks.
const MASKS: [(&str, Sees); 6] = [
    ("causal, padded", |shape, _, token, cell| {
        cell + shape.tokens + 3 < shape.cells + token
    }),
    ("streams of other lengths", |shape, stream, token, cell| {
        cell + shape.tokens < (shape.cells >> (2 * stream)) + token
    }),
    ("holes", |shape, _, token, cell| {
        cell % 7 != 3 && cell + shape.tokens < shape.cells + token
    }),
    ("a window", |_, _, token, cell| {
        (40..110).contains(&(cell - token.min(cell)))
    }),
    ("interleaved sequences", |_, _, token, cell| cell % 3 == token % 3),
    ("the second of each two sees nothing", |_, _, token, _| {
        token % 2 == 0
    }),
];

#[test]
fn every_kernel_is_near_f64() {
    for (isa, kernel) in kernels() {
        for shape in SHAPES.map(shape) {
            for mask in 0..=MASKS.len() {
                let (name, case) = case(shape, mask);
                let (got, want) = (case.run(&kernel, 1), case.exact());
                assert_eq!(got.len(), want.len());
                for (at, (got, want)) in got.iter().zip(want).enumerate() {
                    let apart = (f64::from(*got) - want).abs();
                    assert!(
                        apart < case.bound(),
                        "{isa:?} {shape:?} {name} number {at}: {got} {want}"
                    );
                }
            }
        }
    }
}

/// The case with mask `mask`, and without one after the last.
fn case(shape: Shape, mask: usize) -> (&'static str, AttentionCase) {
    match MASKS.get(mask) {
        Some((name, sees)) => {
            let sees = |stream, token, cell| sees(shape, stream, token, cell);
            (name, AttentionCase::new(shape, Some(&sees)))
        }
        None => ("no mask", AttentionCase::new(shape, None)),
    }
}

/// Where the cells that a token sees lie: the number of cells, and the place of each, if there are so many.
type Place = fn(usize) -> (usize, Box<dyn Iterator<Item = usize>>);

/// Named places of a token's cells.
const PLACES: [(&str, Place); 5] = [
    ("one after the other", |cells| (cells, Box::new(0..cells))),
    ("padded", |cells| (cells + 77, Box::new(0..cells))),
    ("moved", |cells| (cells + 200, Box::new(131..131 + cells))),
    ("between others' cells", |cells| {
        (3 * cells, Box::new((1..3 * cells).step_by(3)))
    }),
    ("in pieces", |cells| {
        (
            4 * cells + 40,
            Box::new((0..cells).map(|cell| cell / 13 * 40 + cell % 13)),
        )
    }),
];

#[test]
fn a_token_has_the_bits_that_it_has_alone() {
    let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    for (isa, kernel) in kernels() {
        // Every token meets some place, and every place all kinds of shapes and masks.
        let mut places = PLACES.iter().cycle();
        for shape in SHAPES.map(shape) {
            for mask in 0..=MASKS.len() {
                let (name, case) = case(shape, mask);
                let all = bits(&case.run(&kernel, 1));
                let threads = 2 + mask % 3;
                assert!(
                    bits(&case.run(&kernel, threads)) == all,
                    "{isa:?} {shape:?} {name}: {threads} threads"
                );
                let each = shape.kv_heads * shape.group * shape.dim;
                for at in 0..shape.streams * shape.tokens {
                    let (stream, token) = (at / shape.tokens, at % shape.tokens);
                    let (place, cells) = places.next().expect("a cycle");
                    let (count, to) = cells(shape.cells);
                    let alone = case.alone(stream, token, count, to);
                    assert!(
                        bits(&alone.run(&kernel, 1)) == all[at * each..][..each],
                        "{isa:?} {shape:?} {name}: token {token} of stream {stream}, {place}"
                    );
                }
            }
        }
    }
}
