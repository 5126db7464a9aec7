//! A pickle's value as tensors: each is one interval of the file, checked against the archive.

use std::collections::BTreeMap;
use std::ops::Range;

use siskin_model::TensorType;

use super::machine::{Dtype, Machine, Object, Storage, Tensor, Value};
use super::zip::Archive;
use super::{Bytes, PickleError};
use crate::checkpoint::safetensors::Tensors;
use crate::view::View;

/// The most dimensions of a tensor, and the longest name in bytes.
const MAX_DIMENSIONS: usize = 8;
const MAX_NAME: usize = 1024;

/// A type of elements: bytes of one, what a conversion reads it as, its name in safetensors.
type Row = (Dtype, u64, Option<TensorType>, &'static str);

const DTYPES: [Row; 10] = [
    (Dtype::F16, 2, Some(TensorType::F16), "F16"),
    (Dtype::Bf16, 2, Some(TensorType::Bf16), "BF16"),
    (Dtype::F32, 4, Some(TensorType::F32), "F32"),
    (Dtype::F64, 8, None, "F64"),
    (Dtype::U8, 1, None, "U8"),
    (Dtype::Bool, 1, None, "BOOL"),
    (Dtype::I8, 1, None, "I8"),
    (Dtype::I16, 2, None, "I16"),
    (Dtype::I32, 4, None, "I32"),
    (Dtype::I64, 8, None, "I64"),
];

fn row(dtype: Dtype) -> &'static Row {
    // The table is in the order of the types.
    &DTYPES[dtype as usize]
}

/// The tensors of the map that the pickle is of.
pub(super) fn tensors(
    machine: &Machine<'_>,
    archive: &Archive,
    bytes: &dyn Bytes,
    folder: &str,
    file: usize,
) -> Result<Tensors, PickleError> {
    let named = named(machine)?;
    let mut storages: BTreeMap<u32, Range<u64>> = BTreeMap::new();
    let mut tensors = Tensors::default();
    let mut spans = Vec::with_capacity(named.len());
    for (name, tensor) in named {
        let error = |what: String| PickleError::Tensor {
            tensor: name.to_owned(),
            what,
        };
        let storage = machine
            .storages
            .get(tensor.storage as usize)
            .ok_or_else(|| error("it has no storage".into()))?;
        let place = match storages.get(&tensor.storage) {
            Some(place) => place.clone(),
            None => {
                let place = place(storage, archive, bytes, folder)?;
                storages.insert(tensor.storage, place.clone());
                place
            }
        };
        let sizes = machine.numbers(tensor.sizes);
        let strides = machine.numbers(tensor.strides);
        let (Some(shape), Some(strides)) = (sizes, strides) else {
            return Err(error("its sizes are no numbers; get the file again".into()));
        };
        let range = range(tensor, storage, &shape, &strides, &place).map_err(error)?;
        let (_, _, ty, label) = *row(storage.dtype);
        match ty {
            Some(ty) => tensors.views.push((
                name.to_owned(),
                View {
                    file,
                    start: range.start,
                    ty,
                    shape,
                },
            )),
            None => tensors.others.push((name.to_owned(), label.to_owned())),
        }
        spans.push((range.start, range.end, name));
    }
    apart(storages.into_values().collect())?;
    disjoint_or_equal(spans)?;
    Ok(tensors)
}

/// The tensors by name, as in a safetensors header: sorted, each once.
fn named<'p>(machine: &Machine<'p>) -> Result<BTreeMap<&'p str, Tensor>, PickleError> {
    let Some(Object::Map { items, .. }) = machine.object(machine.result) else {
        return Err(PickleError::State("data.pkl holds no map of tensors".into()));
    };
    let mut named = BTreeMap::new();
    for (key, value) in items {
        let Some(name) = machine.text(*key).filter(|name| name.len() <= MAX_NAME) else {
            return Err(PickleError::State("data.pkl holds a map without names".into()));
        };
        let Some(Object::Tensor(tensor)) = machine.object(*value) else {
            return Err(PickleError::State(format!(
                "{name:?} in data.pkl is no tensor but {}",
                what(machine, *value)
            )));
        };
        if named.insert(name, *tensor).is_some() {
            return Err(PickleError::Tensor {
                tensor: name.to_owned(),
                what: "it is there twice; get the file again".into(),
            });
        }
    }
    Ok(named)
}

fn what(machine: &Machine<'_>, value: Value) -> &'static str {
    match (value, machine.object(value)) {
        (_, Some(Object::Map { .. })) => "a map, as in a checkpoint of training",
        (Value::Int(_), _) => "a number, as in a checkpoint of training",
        (Value::Text(..), _) => "a text",
        _ => "something else",
    }
}

/// The place of a storage's elements in the file.
fn place(
    storage: &Storage<'_>,
    archive: &Archive,
    bytes: &dyn Bytes,
    folder: &str,
) -> Result<Range<u64>, PickleError> {
    let name = format!("{folder}data/{}", storage.key);
    let Some(entry) = archive.get(&name) else {
        return Err(PickleError::Entry {
            name,
            what: "is missing; get the file again",
        });
    };
    let size = storage.len.checked_mul(row(storage.dtype).1);
    match size.filter(|size| *size <= entry.len) {
        Some(size) => {
            let data = archive.data(bytes, entry)?;
            Ok(data.start..data.start + size)
        }
        None => Err(entry.error("is shorter than data.pkl says; get the file again")),
    }
}

/// The bytes of a tensor in the file.
fn range(
    tensor: Tensor,
    storage: &Storage<'_>,
    shape: &[u64],
    strides: &[u64],
    place: &Range<u64>,
) -> Result<Range<u64>, String> {
    if shape.len() != strides.len() || shape.len() > MAX_DIMENSIONS {
        return Err(format!("{} sizes and {} strides", shape.len(), strides.len()));
    }
    let outside = || format!("shape {shape:?} does not fit in its storage; get the file again");
    let mut weights = 1u64;
    let mut is_contiguous = true;
    for (&size, &stride) in shape.iter().zip(strides).rev() {
        is_contiguous &= size <= 1 || stride == weights;
        weights = weights.checked_mul(size).ok_or_else(outside)?;
    }
    if !is_contiguous && weights > 0 {
        return Err(format!(
            "strides {strides:?} of shape {shape:?} are not those of rows one after the other, as of a transposed tensor; \
             get the safetensors version of the model, or save it again with every tensor contiguous()"
        ));
    }
    let offset = u64::try_from(tensor.offset).map_err(|_| outside())?;
    let size = row(storage.dtype).1;
    let end = offset.checked_add(weights).filter(|end| *end <= storage.len);
    // The storage is in the file, so these do not overflow.
    end.map(|end| place.start + offset * size..place.start + end * size)
        .ok_or_else(outside)
}

/// Checks that no two storages share bytes of the file.
fn apart(mut places: Vec<Range<u64>>) -> Result<(), PickleError> {
    places.sort_unstable_by_key(|place| (place.start, place.end));
    match places.windows(2).any(|pair| pair[0].end > pair[1].start) {
        true => Err(PickleError::Archive("its entries overlap")),
        false => Ok(()),
    }
}

/// Checks that tensors share all of their bytes, as tied ones do, or none.
fn disjoint_or_equal(mut spans: Vec<(u64, u64, &str)>) -> Result<(), PickleError> {
    spans.retain(|span| span.0 < span.1);
    spans.sort_unstable();
    let overlap = |pair: &&[(u64, u64, &str)]| {
        let [a, b] = pair else { return false };
        a.1 > b.0 && (a.0, a.1) != (b.0, b.1)
    };
    match spans.windows(2).find(overlap) {
        Some(pair) => Err(PickleError::Overlap(pair[0].2.into(), pair[1].2.into())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_types() {
        assert!(DTYPES.iter().enumerate().all(|(at, row)| row.0 as usize == at));
    }
}
