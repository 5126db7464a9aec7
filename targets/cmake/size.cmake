# Included by every profile's settings: ggml's kernels fast, everything else of llama.cpp small.
#
# llama.cpp's own part builds graphs, loads files and samples: a thousandth of a token's time, and a third of the program.
# ggml-base holds the rounding of activations, which a prompt spends a twentieth of its time in. Nothing of it all is seen
# from outside, so that calls need no detour.
set(target "$<TARGET_PROPERTY:NAME>")
add_compile_options(
    "$<IF:$<STREQUAL:${target},ggml-cpu>,-O3,$<IF:$<STREQUAL:${target},ggml-base>,-O2,-Os>>" -fvisibility=hidden)
