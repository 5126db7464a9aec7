//! Converts ggml's flash attention node into the attention that the kernels compute.

use std::ops::Range;

use llama_cpp_sys_2::{self as sys, ggml_tensor};
use siskin_kernels::{Attention, Cache, MAX_DIM, Strided};

use super::abi::ComputeParams;

/// Attention is computed here from this many positions on. siskin sums in f32 and ggml in f16, so they round
/// differently. With fewer positions, ggml gives the same bits for any number of threads, and outputs must be
/// the same with either kernel. From here on, ggml's own bits depend on the number of threads.
const POSITIONS: i64 = 512;

/// A thread's share of a node. `None` unless the node is one token's attention over f16 keys and values in
/// the plain form: without sinks, position biases and soft caps.
///
/// # Safety
/// `params` and `dst` must be the arguments with which ggml calls `ggml_compute_forward_flash_attn_ext`.
pub(super) unsafe fn share(params: *const ComputeParams, dst: *const ggml_tensor) -> Option<Attention> {
    // SAFETY: ggml promises valid `params`, a valid node and valid sources; missing sources are null.
    let (ith, nth, dst) = unsafe { ((*params).ith, (*params).nth, &*dst) };
    // SAFETY: as above; ggml's nodes live as long as the graph that is being computed.
    let source = |at: usize| unsafe { dst.src[at].as_ref() };
    let (q, k, v, mask) = (source(0)?, source(1)?, source(2)?, source(3));
    let [scale, bias, cap] = [0, 1, 2].map(|at| f32::from_bits(dst.op_params[at] as u32));
    let dim = usize::try_from(q.ne[0]).ok()?;
    let (heads, kv_heads) = (usize::try_from(q.ne[2]).ok()?, usize::try_from(k.ne[2]).ok()?);
    let plain = source(4).is_none() && bias == 0.0 && cap == 0.0;
    let types = (q.type_, k.type_, v.type_, dst.type_)
        == (
            sys::GGML_TYPE_F32,
            sys::GGML_TYPE_F16,
            sys::GGML_TYPE_F16,
            sys::GGML_TYPE_F32,
        );
    let shapes = q.ne[1] == 1
        && q.ne[3] == 1
        && k.ne[3] == 1
        && [k.ne[0], v.ne[0], dst.ne[0]] == [q.ne[0]; 3]
        && k.ne[1..3] == v.ne[1..3]
        && k.ne[1] >= POSITIONS
        && kv_heads > 0
        && heads % kv_heads == 0
        && dim % 16 == 0
        && dim <= MAX_DIM
        && (q.nb[0], k.nb[0], v.nb[0], dst.nb[0]) == (4, 2, 2, 4);
    if !(plain && types && shapes && mask.is_none_or(|mask| plain_mask(mask, k.ne[1]))) {
        return None;
    }
    let cache = |tensor: &ggml_tensor| Cache {
        data: tensor.data.cast_const().cast(),
        position_stride: tensor.nb[1],
        head_stride: tensor.nb[2],
    };
    let group = heads / kv_heads;
    let (ith, nth) = (usize::try_from(ith).ok()?, usize::try_from(nth).ok()?);
    Some(Attention {
        q: Strided {
            data: q.data.cast(),
            stride: q.nb[2],
        },
        k: cache(k),
        v: cache(v),
        mask: mask.map_or(std::ptr::null(), |mask| mask.data.cast_const().cast()),
        out: Strided {
            data: dst.data.cast(),
            stride: dst.nb[1],
        },
        positions: usize::try_from(k.ne[1]).ok()?,
        dim,
        group,
        heads: tiles(heads, Attention::tile(group), ith, nth)?,
        scale,
    })
}

/// Whether a mask is one row of `positions` f16 numbers for all heads.
fn plain_mask(mask: &ggml_tensor, positions: i64) -> bool {
    mask.type_ == sys::GGML_TYPE_F16
        && mask.ne[0] >= positions
        && mask.ne[2] == 1
        && mask.ne[3] == 1
        && mask.nb[0] == 2
}

/// The heads of thread `ith` of `nth`, in whole tiles.
fn tiles(heads: usize, tile: usize, ith: usize, nth: usize) -> Option<Range<usize>> {
    let count = heads / tile;
    (ith < nth).then(|| count * ith / nth * tile..count * (ith + 1) / nth * tile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_head_is_some_thread_s() {
        for (heads, tile) in [(32, 4), (32, 1), (8, 1), (4, 2), (6, 1)] {
            for nth in 1..=5 {
                let mut next = 0;
                for ith in 0..nth {
                    let range = tiles(heads, tile, ith, nth).expect("a thread");
                    assert!(range.start == next && range.len().is_multiple_of(tile));
                    next = range.end;
                }
                assert_eq!(next, heads);
            }
        }
        assert_eq!(tiles(4, 1, 2, 2), None);
    }
}
