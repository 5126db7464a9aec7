use super::*;
use crate::plan::Source;
use crate::view::View;
use siskin_model::TensorType;
use siskin_model::arch::{Role, Transform};
use siskin_model::atomic_file::Overwrite;
use std::path::Path;

/// A file of f32 values and a plan for it; an output is (name, transform, shape in ggml's order).
fn plan_over(folder: &Path, values: &[f32], outputs: &[(&str, Transform, Vec<u64>)]) -> (Files, Plan) {
    let path = folder.join("in");
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(&path, bytes).expect("written");
    let mut files = Files::new();
    files.open(&path).expect("opened");
    let (mut start, mut offset, mut tensors) = (0, 0, Vec::new());
    for (name, transform, shape) in outputs {
        let ty = TensorType::F32;
        let view = View {
            file: 0,
            start,
            ty,
            shape: shape.iter().rev().copied().collect(),
        };
        start += ty.tensor_bytes(shape).expect("fits");
        let sources = vec![Source {
            name: format!("model.{name}"),
            view,
        }];
        let (transform, shape) = (transform.clone(), shape.clone());
        let (name, role) = ((*name).to_owned(), Role::Other);
        let tensor = PlannedTensor {
            name,
            sources,
            transform,
            role,
            layer: None,
            ty,
            shape,
            offset,
        };
        offset = (offset + tensor.bytes()).next_multiple_of(DEFAULT_ALIGNMENT);
        tensors.push(tensor);
    }
    (
        files,
        Plan {
            metadata: Default::default(),
            tensors,
        },
    )
}

fn run(folder: &Path, plan: &Plan, files: &Files, cancel: bool) -> Result<Vec<u8>, StreamError> {
    let path = folder.join("out");
    let target = AtomicFile::create(&path, Overwrite::Replace).expect("created");
    let cancel = AtomicBool::new(cancel);
    let options = StreamOptions {
        threads: 3,
        allow_nonfinite: false,
        effort: Effort::Normal,
        imatrix: None,
        cancel: &cancel,
    };
    let mut last = 0;
    write_data(plan, files, &target, options, &mut |p| {
        assert!(p.written >= last && p.written <= p.total);
        last = p.written;
    })?;
    assert_eq!(last, plan.data_bytes());
    target.commit().expect("committed");
    Ok(std::fs::read(&path).expect("there"))
}

#[test]
fn rows_come_out_where_the_plan_says() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let values: Vec<f32> = (0..700_006).map(|n| n as f32).collect();
    let outputs = [
        ("copy", Transform::Copy, vec![100, 3000]), // several pieces
        ("odd", Transform::Copy, vec![6]),          // padded to the alignment
        ("heads", Transform::PermuteRotary { heads: 4 }, vec![1000, 400]),
    ];
    let (files, plan) = plan_over(dir.path(), &values, &outputs);
    let bytes = run(dir.path(), &plan, &files, false).expect("written");
    assert_eq!(bytes.len() as u64, plan.data_bytes());
    let mut start = 0;
    for tensor in &plan.tensors {
        let (rows, len) = tensor.rows();
        for row in 0..rows {
            let at = (tensor.offset + row * len * 4) as usize;
            let got = f32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
            assert_eq!(
                got,
                values[(start + tensor.source_row(row).1 * len) as usize],
                "{} {row}",
                tensor.name
            );
        }
        start += tensor.weights();
    }
}

#[test]
fn errors_name_the_tensor_and_leave_no_target() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut values = vec![1.0; 4_000_000];
    values[2_000_123] = f32::NAN;
    let outputs = [("weights", Transform::Copy, vec![1000, 4000])];
    let (files, plan) = plan_over(dir.path(), &values, &outputs);
    let error = run(dir.path(), &plan, &files, false).expect_err("a NaN");
    assert_eq!(error.kind(), ErrorKind::NonFinite);
    let text = error.to_string();
    assert!(
        text.starts_with("tensor weights: weight 123 of row 2000 is NaN"),
        "{text}"
    );
    assert!(matches!(
        run(dir.path(), &plan, &files, true),
        Err(StreamError::Interrupted)
    ));
    std::fs::File::options()
        .write(true)
        .open(dir.path().join("in"))
        .and_then(|f| f.set_len(5_000_000))
        .expect("cut");
    let error = run(dir.path(), &plan, &files, false).expect_err("a short file");
    assert!(error.to_string().contains("tensor model.weights: "), "{error}");
    assert!(!dir.path().join("out").exists());
}

/// What f16 cannot express is called that, in f16 files and in the scales of blocks.
#[test]
fn weights_too_large_for_the_type_are_named() {
    use TensorType as T;
    // Type, a weight, whether the type can express it. A block's scale is an f16: of q8_0, the largest weight / 127.
    let cases = [
        (T::F16, 65504.0, true),
        (T::F16, 65519.0, true), // rounds to 65504
        (T::F16, 65520.0, false),
        (T::F16, -1e30, false),
        (T::F16, 1e-7, true),  // a subnormal
        (T::F16, 1e-30, true), // rounds to 0
        (T::Bf16, 3.0e38, true),
        (T::Bf16, f32::MAX, false),
        (T::F32, f32::MAX, true),
        (T::Q8_0, 8.0e6, true),
        (T::Q8_0, 8.5e6, false),
        (T::Q4_0, 5.0e5, true),
        (T::Q4_0, 6.0e5, false),
        (T::Q4K, 1e5, true),
        (T::Q4K, 1e12, false),
        (T::Q5K, 1e12, false),
        (T::Q6K, 1e12, false),
    ];
    for (ty, weight, fits) in cases {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut values = vec![1.0; 512 * 3];
        values[512 + 300] = weight;
        let (files, mut plan) = plan_over(dir.path(), &values, &[("w", Transform::Copy, vec![512, 3])]);
        plan.tensors[0].ty = ty;
        match (run(dir.path(), &plan, &files, false), fits) {
            (Ok(_), true) => {}
            (Err(error), false) => {
                assert_eq!(error.kind(), ErrorKind::OutOfRange);
                let want =
                    format!("tensor w: weight 300 of row 1 is {weight}, too large for {ty}; convert to");
                assert!(error.to_string().starts_with(&want), "{error}");
            }
            (result, _) => panic!("{ty} {weight}: {:?}", result.map(drop)),
        }
    }
}
