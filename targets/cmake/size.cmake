# Included by every profile's settings: compiles ggml's kernels for speed and the rest of llama.cpp for size.
#
# llama.cpp's own part builds graphs, loads files and samples: a thousandth of a token's time, and a third of
# the program. ggml-base contains the rounding of activations, which takes a twentieth of a prompt's time. No
# symbol is visible from outside, so that calls are direct.
set(target "$<TARGET_PROPERTY:NAME>")
add_compile_options(
    "$<IF:$<STREQUAL:${target},ggml-cpu>,-O3,$<IF:$<STREQUAL:${target},ggml-base>,-O2,-Os>>" -fvisibility=hidden)
