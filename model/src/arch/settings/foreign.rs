//! Settings of other architectures, found in configurations of these: refused unless they change nothing.

use super::Neutral::{Bool, Empty, Number, Text};
use super::Use::{Harmless, Only, Unless};
use super::{ABSENT, Group, NOTHING, OFF, ONE, window};

/// Each key is in one group only.
pub(super) const GROUPS: &[Group] = &[
    (
        "act_fn activation activation_fn activation_function activation_type ffn_act mlp_activation",
        "an activation function",
        Only(&[
            Text("silu"),
            Text("swish"),
            Text("swiglu"),
            Text("gelu"),
            Text("gelu_new"),
        ]),
    ),
    (
        "activation_sparsity_pattern attn_config attn_layer_indices block_configs \
         cross_attention_layers early_exit_config ffn_config full_attn_idxs gated_delta_config \
         kv_reuse_map layer_indices layer_map linear_attn_config mamba_config skip_layers ssm_cfg",
        "layers of another kind",
        NOTHING,
    ),
    (
        "adapter_config lora_config peft_config use_lora_config",
        "adapters that are not in the weights",
        NOTHING,
    ),
    (
        "add_bias_linear add_qkv_bias bias head_bias lm_head_bias o_proj_bias output_bias qkv_bias \
         use_bias",
        "biases",
        OFF,
    ),
    (
        "add_qk_norm attention_qk_norm qk_layernorm qk_norm query_key_norm use_qk_layernorm \
         use_qk_norm",
        "a norm of queries and keys",
        OFF,
    ),
    (
        "add_unit_offset apply_residual_connection_post_layernorm layer_norm_elementwise_affine_off \
         no_bias_norm norm_after norm_reorder normalization_bias post_layer_norm post_norm \
         pre_post_norm rms_norm_add_unit_offset sandwich_norm use_ngram_embedding \
         use_post_attention_norm use_post_norm use_sandwich_norm",
        "norms of another kind",
        OFF,
    ),
    (
        "alibi alibi_bias_max learned_positional_embeddings use_absolute_position_embeddings \
         use_alibi use_position_embedding",
        "positions that are not rotary",
        OFF,
    ),
    (
        "alpha attention_multiplier depth_multiplier embedding_multiplier embedding_scale \
         key_multiplier lm_head_multiplier logit_scale logits_scaling mup_scale mup_width_scale \
         residual_multiplier residual_scale scale_depth scale_emb scale_width value_multiplier \
         width_multiplier",
        "a factor in the computation",
        ONE,
    ),
    (
        "altup_num_inputs conv_kernel cross_attention_layers_count hidden_size_per_layer_input \
         laurel_rank linear_num_key_heads linear_num_value_heads mamba_d_state mamba_n_heads n_loop \
         num_kv_shared_layers num_loops num_memory_tokens num_recurrences ssm_state_size ut_steps",
        "layers of another kind",
        OFF,
    ),
    (
        "attention_chunk_size attention_sink attention_window attn_window_size \
         full_attention_interval global_attn_every_n_layers interleaved_sliding_window \
         local_attention_window local_window_size num_attention_sinks sliding_window_pattern \
         sliding_window_size use_attention_sinks use_sliding_window use_sliding_window_attention \
         window_size",
        "attention to some tokens only",
        OFF,
    ),
    (
        "attention_logit_softcapping attn_logit_softcap attn_logit_softcapping attn_softcap \
         final_logit_softcap final_logit_softcapping logit_soft_cap",
        "the largest attention score or logit",
        OFF,
    ),
    (
        "attention_scale attn_scale dim_model_base query_pre_attn_scalar softmax_scale",
        "the scale of attention scores",
        ABSENT,
    ),
    (
        "attention_types attn_layer_types block_types hybrid_override_pattern layer_types \
         layers_block_type",
        "the kinds of the layers",
        Only(&[Text("full_attention"), Empty]),
    ),
    (
        "attn_scale_by_position attn_temperature_tuning use_scaled_attention",
        "the temperature of attention",
        OFF,
    ),
    (
        "audio_config decoder draft_config encoder language_config llm_config speech_config \
         text_config thinker_config vision_config",
        "another model inside",
        ABSENT,
    ),
    (
        "bidirectional is_prefix_lm use_bidirectional_attention",
        "attention in both directions",
        OFF,
    ),
    (
        "causal is_causal rotary use_causal_mask use_rope use_rotary use_rotary_embedding",
        "causal attention",
        Only(&[Bool(true)]),
    ),
    ("clip_qkv qkv_clip z_clip", "clipping in attention", OFF),
    (
        "compress_pos_emb position_scaling rope_factor rope_percent rope_percentage rope_ratio \
         rope_scaling_factor rotary_scaling_factor",
        "a factor of rotary embedding",
        ONE,
    ),
    (
        "decoder_sparse_step first_k_dense_replace moe_intermediate_size moe_layer_freq \
         moe_layer_interval moe_num_experts moe_top_k n_routed_experts n_shared_experts num_experts \
         num_experts_per_tok num_experts_per_token num_local_experts num_shared_experts \
         shared_expert_intermediate_size top_k_experts",
        "a mixture of experts",
        OFF,
    ),
    (
        "embed_dim ffn_dim ffn_dim_multiplier ffn_hidden_size image_token_id image_token_index \
         kv_channels make_vocab_size_divisible_by max_seq_len max_sequence_length multiple_of n_ctx \
         n_embd n_head n_inner n_kv_heads n_layer n_positions num_heads num_kv_heads num_layers \
         pad_vocab_size_multiple padded_vocab_size seq_len seq_length vocab_size_per_layer",
        "another name of a dimension, which the tensors have",
        Harmless,
    ),
    (
        "hidden_activation",
        "the feed-forward's activation function",
        Only(&[Text("silu"), Text("swish")]),
    ),
    (
        "kv_lora_rank q_lora_rank qk_nope_head_dim qk_rope_head_dim use_mla v_head_dim \
         value_head_dim",
        "latent attention",
        OFF,
    ),
    (
        "layer_norm_epsilon norm_epsilon",
        "the norms' epsilon in other architectures",
        Only(&[Number(1e-5), Number(1e-6)]),
    ),
    (
        "layer_norm_type layernorm_type norm_class norm_type normalization normalization_type",
        "the norms' kind",
        Only(&[
            Text("rmsnorm"),
            Text("rms_norm"),
            Text("RMSNorm"),
            Text("layernorm"),
            Text("layer_norm"),
            Text("LayerNorm"),
        ]),
    ),
    ("max_window_layers", "the number of layers with windows", Harmless),
    (
        "mlp_layer_types mlp_only_layers moe_layers",
        "a mixture of experts",
        NOTHING,
    ),
    (
        "mrope_interleaved rope_interleave rope_interleaved rope_ratio_scaling rotary_interleaved \
         use_dynamic_ntk use_logn_attn use_mrope",
        "the order of rotary pairs",
        OFF,
    ),
    (
        "mtp_num_layers n_future_tokens n_predict num_mtp_layers num_nextn_layers \
         num_nextn_predict_layers",
        "more predicted tokens",
        OFF,
    ),
    (
        "multi_query multi_query_attention new_decoder_architecture parallel_attn parallel_residual \
         use_parallel_block",
        "parallel blocks",
        OFF,
    ),
    (
        "mup_enabled normalize_embedding scale_attn_by_inverse_layer_idx scale_embedding \
         scale_embeddings scale_lmhead_by_width use_mup",
        "a factor in the computation",
        OFF,
    ),
    (
        "no_rope_layer_interval nope_layer_interval use_nope",
        "layers without rotary embedding",
        OFF,
    ),
    ("no_rope_layers", "layers without rotary embedding", NOTHING),
    (
        "original_max_position_embeddings",
        "used with scaling of a kind that is refused",
        Harmless,
    ),
    (
        "pos_emb_type pos_embedding_type position_embedding position_embedding_type",
        "the kind of position embedding",
        Only(&[Text("rope"), Text("rotary"), Text("rope_gpt_neox")]),
    ),
    ("router_aux_loss_coef router_jitter_noise", "training", Harmless),
    (
        "sliding_window",
        "attention to the last tokens only",
        Unless(window),
    ),
];
