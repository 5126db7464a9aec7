//! The header of a GGUF file: magic, counts, metadata, tensor list, padding. Tensor data follows it.
//!
//! The output is byte for byte what gguf-py writes for the same content. gguf-py pads every tensor's data to
//! the alignment, including the last one; callers that stream the data must do the same with [`align_up`].

use std::io::{self, Write};

use super::{Array, MAGIC, Metadata, TensorInfo, VERSION, Value, ValueType};

/// Writes the header and pads it with zeros to `alignment`; returns the file position of the tensor data.
/// `alignment` must be the value of `general.alignment`, or [`super::DEFAULT_ALIGNMENT`] if that key is
/// missing.
///
/// # Errors
/// Fails if writing to `out` fails.
pub fn write_header(
    out: &mut impl Write,
    metadata: &Metadata,
    tensors: &[TensorInfo],
    alignment: u64,
) -> io::Result<u64> {
    let mut out = Counted { out, written: 0 };
    write_fields(&mut out, metadata, tensors)?;
    let padding = align_up(out.written, alignment) - out.written;
    io::copy(&mut io::Read::take(io::repeat(0), padding), &mut out)?;
    Ok(out.written)
}

/// The file position of the tensor data, as [`write_header`] returns it.
pub fn data_start(metadata: &Metadata, tensors: &[TensorInfo], alignment: u64) -> u64 {
    write_header(&mut io::sink(), metadata, tensors, alignment).expect("a sink takes everything")
}

/// The next multiple of `alignment` (a power of two) that is not below `position`.
///
/// # Panics
/// If the result does not fit in 64 bits; file positions are far below that.
pub fn align_up(position: u64, alignment: u64) -> u64 {
    position.next_multiple_of(alignment)
}

/// Forwards bytes to `out` and counts them.
struct Counted<W> {
    out: W,
    written: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn write_fields(out: &mut impl Write, metadata: &Metadata, tensors: &[TensorInfo]) -> io::Result<()> {
    out.write_all(&MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    out.write_all(&(tensors.len() as u64).to_le_bytes())?;
    out.write_all(&(metadata.len() as u64).to_le_bytes())?;
    for (key, value) in metadata.iter() {
        write_string(out, key)?;
        write_type(out, value.ty())?;
        write_value(out, value)?;
    }
    tensors.iter().try_for_each(|tensor| write_tensor(out, tensor))
}

fn write_tensor(out: &mut impl Write, tensor: &TensorInfo) -> io::Result<()> {
    write_string(out, &tensor.name)?;
    out.write_all(&(tensor.shape.len() as u32).to_le_bytes())?;
    for dim in &tensor.shape {
        out.write_all(&dim.to_le_bytes())?;
    }
    out.write_all(&tensor.ty.id().to_le_bytes())?;
    out.write_all(&tensor.offset.to_le_bytes())
}

fn write_type(out: &mut impl Write, ty: ValueType) -> io::Result<()> {
    out.write_all(&(ty as u32).to_le_bytes())
}

fn write_string(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(text.as_bytes())
}

fn write_value(out: &mut impl Write, value: &Value) -> io::Result<()> {
    match value {
        Value::U8(v) => out.write_all(&v.to_le_bytes()),
        Value::I8(v) => out.write_all(&v.to_le_bytes()),
        Value::U16(v) => out.write_all(&v.to_le_bytes()),
        Value::I16(v) => out.write_all(&v.to_le_bytes()),
        Value::U32(v) => out.write_all(&v.to_le_bytes()),
        Value::I32(v) => out.write_all(&v.to_le_bytes()),
        Value::F32(v) => out.write_all(&v.to_le_bytes()),
        Value::U64(v) => out.write_all(&v.to_le_bytes()),
        Value::I64(v) => out.write_all(&v.to_le_bytes()),
        Value::F64(v) => out.write_all(&v.to_le_bytes()),
        Value::Bool(v) => out.write_all(&[u8::from(*v)]),
        Value::String(v) => write_string(out, v),
        Value::Array(v) => write_array(out, v),
    }
}

fn write_array(out: &mut impl Write, array: &Array) -> io::Result<()> {
    write_type(out, array.element_type())?;
    out.write_all(&(array.len() as u64).to_le_bytes())?;
    match array {
        Array::U8(v) => out.write_all(v),
        Array::I8(v) => v.iter().try_for_each(|x| out.write_all(&x.to_le_bytes())),
        Array::U16(v) => v.iter().try_for_each(|x| out.write_all(&x.to_le_bytes())),
        Array::I16(v) => v.iter().try_for_each(|x| out.write_all(&x.to_le_bytes())),
        Array::U32(v) => v.iter().try_for_each(|x| out.write_all(&x.to_le_bytes())),
        Array::I32(v) => v.iter().try_for_each(|x| out.write_all(&x.to_le_bytes())),
        Array::F32(v) => v.iter().try_for_each(|x| out.write_all(&x.to_le_bytes())),
        Array::U64(v) => v.iter().try_for_each(|x| out.write_all(&x.to_le_bytes())),
        Array::I64(v) => v.iter().try_for_each(|x| out.write_all(&x.to_le_bytes())),
        Array::F64(v) => v.iter().try_for_each(|x| out.write_all(&x.to_le_bytes())),
        Array::Bool(v) => v.iter().try_for_each(|&x| out.write_all(&[u8::from(x)])),
        Array::String(v) => v.iter().try_for_each(|x| write_string(out, x)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorType;

    /// The expected bytes are written out from the format description, field by field.
    #[test]
    fn a_small_header_byte_for_byte() {
        let mut metadata = Metadata::new();
        metadata.set("a", 7u32);
        metadata.set("b", vec![true, false]);
        let tensors = [TensorInfo {
            name: "t".into(),
            shape: vec![64, 2],
            ty: TensorType::Q8_0,
            offset: 32,
        }];
        let mut want = b"GGUF".to_vec();
        want.extend([3, 0, 0, 0]);
        want.extend([1, 0, 0, 0, 0, 0, 0, 0]); // tensors
        want.extend([2, 0, 0, 0, 0, 0, 0, 0]); // keys
        want.extend([1, 0, 0, 0, 0, 0, 0, 0, b'a', 4, 0, 0, 0, 7, 0, 0, 0]);
        want.extend([1, 0, 0, 0, 0, 0, 0, 0, b'b', 9, 0, 0, 0, 7, 0, 0, 0]);
        want.extend([2, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        want.extend([1, 0, 0, 0, 0, 0, 0, 0, b't', 2, 0, 0, 0]);
        want.extend([64, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        want.extend([8, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0]);
        want.resize(want.len().next_multiple_of(32), 0);

        let mut got = Vec::new();
        let start = write_header(&mut got, &metadata, &tensors, 32).unwrap();
        assert_eq!(got, want);
        assert_eq!(start, want.len() as u64);
        assert_eq!(data_start(&metadata, &tensors, 32), start);
        assert_eq!(data_start(&metadata, &tensors, 4096), 4096);
    }
}
