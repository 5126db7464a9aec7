//! Converts ggml's flash attention node into the attention that the kernels compute.

use llama_cpp_sys_2::{self as sys, ggml_tensor};
use siskin_kernels::{Attention, Cache, CacheFormat, MAX_DIM, MAX_GROUP, Mask, Strided};

use super::abi::ComputeParams;

/// A thread's share of a node. `None` unless the node is attention in the plain form: without sinks, position biases and
/// soft caps. Any number of tokens is computed here, so that a token's bits do not depend on how many others are computed
/// with it.
///
/// # Safety
/// `params` and `dst` must be the arguments with which ggml calls `ggml_compute_forward_flash_attn_ext`.
pub(super) unsafe fn share(params: *const ComputeParams, dst: *const ggml_tensor) -> Option<Attention> {
    // SAFETY: ggml promises valid `params`, a valid node and valid sources; missing sources are null.
    let (ith, nth, dst) = unsafe { ((*params).ith, (*params).nth, &*dst) };
    // SAFETY: as above; ggml's nodes live as long as the graph that is being computed.
    let source = |at: usize| unsafe { dst.src[at].as_ref() };
    let (q, k, v, mask) = (source(0)?, source(1)?, source(2)?, source(3));
    let attention = node(dst, [q, k, v], mask, source(4).is_some())?;
    let heads = usize::try_from(q.ne[2]).ok()?;
    let (ith, nth) = (usize::try_from(ith).ok()?, usize::try_from(nth).ok()?);
    Some(Attention {
        heads: Attention::share(heads, attention.group, ith, nth)?,
        ..attention
    })
}

/// The attention of all heads, if it is one that the kernels compute. ggml's shapes are, from the innermost:
/// queries `[dim][tokens][heads][streams]`, keys and values `[dim][cells][heads][streams]`, masks
/// `[cells][tokens][1][streams]`, and results `[dim][heads][tokens][streams]`.
fn node(
    dst: &ggml_tensor,
    [q, k, v]: [&ggml_tensor; 3],
    mask: Option<&ggml_tensor>,
    sinks: bool,
) -> Option<Attention> {
    let size = |tensor: &ggml_tensor| -> Option<[usize; 4]> {
        let sizes = tensor.ne.map(usize::try_from);
        sizes
            .iter()
            .all(Result::is_ok)
            .then(|| sizes.map(Result::unwrap_or_default))
    };
    let [dim, tokens, heads, streams] = size(q)?;
    let [_, cells, kv_heads, _] = size(k)?;
    let [scale, bias, cap] = [0, 1, 2].map(|at| f32::from_bits(dst.op_params[at] as u32));
    let (k_format, v_format) = (format(k.type_)?, format(v.type_)?);
    let some = tokens.checked_mul(streams)? > 0;
    let plain = !sinks && bias == 0.0 && cap == 0.0;
    let types = (q.type_, dst.type_) == (sys::GGML_TYPE_F32, sys::GGML_TYPE_F32);
    let shapes = size(k)? == [dim, cells, kv_heads, streams]
        && size(v)? == size(k)?
        && size(dst)? == [dim, heads, tokens, streams]
        && kv_heads > 0
        && heads % kv_heads == 0
        && (1..=MAX_GROUP).contains(&(heads / kv_heads))
        && (1..=MAX_DIM).contains(&dim)
        && [k_format, v_format]
            .iter()
            .all(|format| dim % format.multiple() == 0);
    // A cell's number is 32 bits wide in the kernels.
    let sizes = u32::try_from(cells).is_ok();
    let rows = (q.nb[0], dst.nb[0]) == (4, 4)
        && [(k, k_format), (v, v_format)]
            .iter()
            .all(|(tensor, format)| tensor.nb[0] == type_bytes(*format));
    if !(some && plain && types && shapes && sizes && rows) {
        return None;
    }
    let strided = |tensor: &ggml_tensor, token: usize, head: usize| Strided {
        data: tensor.data.cast(),
        head: tensor.nb[head],
        token: tensor.nb[token],
        stream: tensor.nb[3],
    };
    let cache = |tensor: &ggml_tensor, format| Cache {
        format,
        data: tensor.data.cast_const().cast(),
        head: tensor.nb[2],
        cell: tensor.nb[1],
        stream: tensor.nb[3],
    };
    let mask = match mask {
        None => Mask {
            data: std::ptr::null(),
            token: 0,
            stream: 0,
        },
        Some(mask) => plain_mask(mask, size(mask)?, [cells, tokens, streams])?,
    };
    Some(Attention {
        q: strided(q, 1, 2),
        k: cache(k, k_format),
        v: cache(v, v_format),
        mask,
        out: strided(dst, 2, 1),
        streams,
        tokens,
        cells,
        dim,
        group: heads / kv_heads,
        heads: 0..heads,
        scale,
    })
}

/// Whether heads with keys and values of these lengths are computed, if so many share keys, in a cache of f16 numbers.
pub(super) fn computes(key: u64, value: u64, group: u64) -> bool {
    let within =
        |value: u64, most: usize| usize::try_from(value).is_ok_and(|value| (1..=most).contains(&value));
    let whole = key.is_multiple_of(CacheFormat::F16.multiple() as u64);
    key == value && whole && within(key, MAX_DIM) && within(group, MAX_GROUP)
}

/// A mask of f16 numbers, if it is the same for all heads and has a row for each token.
fn plain_mask(mask: &ggml_tensor, size: [usize; 4], [cells, tokens, streams]: [usize; 3]) -> Option<Mask> {
    let plain = mask.type_ == sys::GGML_TYPE_F16
        && mask.nb[0] == 2
        && size[0] >= cells
        && size[1] >= tokens
        && size[2] == 1
        && (size[3] == 1 || size[3] == streams);
    plain.then(|| Mask {
        data: mask.data.cast_const().cast(),
        token: mask.nb[1],
        stream: if size[3] == 1 { 0 } else { mask.nb[3] },
    })
}

/// How keys or values of a type are stored; `None` if the kernels do not read the type.
fn format(ty: sys::ggml_type) -> Option<CacheFormat> {
    match ty {
        sys::GGML_TYPE_F16 => Some(CacheFormat::F16),
        sys::GGML_TYPE_Q8_0 => Some(CacheFormat::Q8_0),
        sys::GGML_TYPE_Q4_0 => Some(CacheFormat::Q4_0),
        _ => None,
    }
}

/// Bytes of a number, or of a block of numbers.
fn type_bytes(format: CacheFormat) -> usize {
    format.row_bytes(format.unit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node's tensors, with ggml's strides of dense ones. Nothing reads their data.
    fn tensor(ty: sys::ggml_type, ne: [i64; 4]) -> ggml_tensor {
        // SAFETY: a struct of numbers and pointers, for which zero bytes are a value.
        let mut tensor: ggml_tensor = unsafe { std::mem::zeroed() };
        // SAFETY: the numbers are of ggml's types; its table is static.
        let (bytes, block) = unsafe { (sys::ggml_type_size(ty), sys::ggml_blck_size(ty)) };
        tensor.type_ = ty;
        tensor.ne = ne;
        tensor.nb = [bytes, bytes * ne[0] as usize / block as usize, 0, 0];
        tensor.nb[2] = tensor.nb[1] * ne[1] as usize;
        tensor.nb[3] = tensor.nb[2] * ne[2] as usize;
        tensor
    }

    /// `tokens` tokens of `streams` streams over a cache of `k` and `v`.
    fn attention(
        k: sys::ggml_type,
        v: sys::ggml_type,
        tokens: i64,
        streams: i64,
        dim: i64,
    ) -> Option<Attention> {
        let f32 = sys::GGML_TYPE_F32;
        let q = tensor(f32, [dim, tokens, 8, streams]);
        let (k, v) = (tensor(k, [dim, 32, 2, streams]), tensor(v, [dim, 32, 2, streams]));
        let mask = tensor(sys::GGML_TYPE_F16, [32, 64, 1, streams]);
        node(
            &tensor(f32, [dim, 8, tokens, streams]),
            [&q, &k, &v],
            Some(&mask),
            false,
        )
    }

    #[test]
    fn tokens_over_each_type_of_cache_are_computed() {
        let (f16, q8_0, q4_0) = (sys::GGML_TYPE_F16, sys::GGML_TYPE_Q8_0, sys::GGML_TYPE_Q4_0);
        for (k, v, tokens, streams, dim, computed) in [
            (f16, f16, 1, 1, 64, true),
            (q8_0, q4_0, 8, 1, 64, true),
            (f16, q8_0, 2, 4, 256, true),
            (f16, f16, 9, 1, 64, true),
            (f16, f16, 64, 3, 64, true),
            (f16, f16, 0, 1, 64, false),
            (f16, f16, 1, 1, 48, true),
            (f16, f16, 1, 1, 40, false),
            (q8_0, q8_0, 1, 1, 32, true),
            (f16, f16, 1, 1, 512, false),
            (sys::GGML_TYPE_Q5_0, f16, 1, 1, 64, false),
            (sys::GGML_TYPE_F32, f16, 1, 1, 64, false),
        ] {
            let found = attention(k, v, tokens, streams, dim);
            assert_eq!(found.is_some(), computed, "{k} {v} {tokens} {streams} {dim}");
            if let Some(found) = found {
                let counts = [found.tokens, found.streams, found.cells, found.group, found.dim];
                assert_eq!(counts, [tokens as usize, streams as usize, 32, 4, dim as usize]);
            }
        }
    }

    #[test]
    fn other_forms_are_ggml_s() {
        let f32 = sys::GGML_TYPE_F32;
        let q = tensor(f32, [64, 1, 8, 1]);
        let cache = tensor(sys::GGML_TYPE_F16, [64, 32, 2, 1]);
        let per_head = tensor(sys::GGML_TYPE_F16, [32, 64, 8, 1]);
        let with = |change: fn(&mut ggml_tensor), mask, sinks| {
            let mut dst = tensor(f32, [64, 8, 1, 1]);
            change(&mut dst);
            node(&dst, [&q, &cache, &cache], mask, sinks).is_some()
        };
        let one = 1f32.to_bits() as i32;
        assert!(with(|_| (), None, false));
        assert!(!with(|_| (), None, true), "sinks");
        assert!(!with(|_| (), Some(&per_head), false), "a mask for each head");
        let changes: [fn(&mut ggml_tensor, i32); 2] = [
            |dst, one| dst.op_params[1] = one,
            |dst, one| dst.op_params[2] = one,
        ];
        for change in changes {
            let mut dst = tensor(f32, [64, 8, 1, 1]);
            change(&mut dst, one);
            assert!(node(&dst, [&q, &cache, &cache], None, false).is_none());
        }
    }
}
