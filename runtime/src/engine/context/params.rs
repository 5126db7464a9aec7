//! What llama.cpp's parameters of a context are made from.

use llama_cpp_sys_2 as sys;
use siskin_device::settings::{CacheType, FlashAttention, Values};

use crate::Error;
use crate::engine::Model;

/// What llama.cpp would refuse with no word of why.
pub(super) fn check_cache(model: &Model, values: &Values) -> Result<(), Error> {
    let cache_type = values.cache_type;
    if !cache_type.is_quantized() {
        return Ok(());
    }
    if values.flash_attention == FlashAttention::Off {
        return Err(Error::CacheNeedsFlashAttention(cache_type));
    }
    match model.head_dim() {
        Some(head_dim) if !head_dim.is_multiple_of(32) => {
            Err(Error::CacheCrossesHeads { cache_type, head_dim })
        }
        _ => Ok(()),
    }
}

/// llama.cpp's flash attention rounds to f16 on the way: exact keys and values want the plain form.
pub(super) fn flash_attention(values: &Values) -> sys::llama_flash_attn_type {
    match (values.cache_type, values.flash_attention) {
        (CacheType::F32, _) | (_, FlashAttention::Off) => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        (_, FlashAttention::On) => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
        (_, FlashAttention::Auto) => sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
    }
}

pub(super) fn ggml_type(ty: CacheType) -> sys::ggml_type {
    match ty {
        CacheType::F32 => sys::GGML_TYPE_F32,
        CacheType::F16 => sys::GGML_TYPE_F16,
        CacheType::Q8_0 => sys::GGML_TYPE_Q8_0,
        CacheType::Q4_0 => sys::GGML_TYPE_Q4_0,
    }
}
