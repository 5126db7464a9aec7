// Runs one of ggml's products of 64 rows of 2048 weights, for scripts/count-neon.sh: as stored with one column, as
// repacked with one column, or as repacked with four.
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHTS = 2048, ROWS = 64 };

typedef void dot(int, float *, size_t, const void *, size_t, const void *, size_t, int);
typedef void product(int, float *, size_t, const void *, const void *, int, int);

#define STORED(format, column) extern dot ggml_vec_dot_##format##_##column;
#define REPACKED(format, layout, column) \
    extern product ggml_gemv_##format##_##layout##_##column, ggml_gemm_##format##_##layout##_##column;
STORED(q4_K, q8_K) STORED(q5_K, q8_K) STORED(q6_K, q8_K) STORED(q2_K, q8_K) STORED(q3_K, q8_K)
STORED(iq4_xs, q8_K) STORED(q8_0, q8_0) STORED(q4_0, q8_0) STORED(q5_0, q8_0) STORED(iq4_nl, q8_0)
STORED(q4_1, q8_1) STORED(q5_1, q8_1)
extern dot ggml_vec_dot_f16;
REPACKED(q4_K, 8x4, q8_K) REPACKED(q5_K, 8x4, q8_K) REPACKED(q6_K, 8x4, q8_K)
REPACKED(q8_0, 4x4, q8_0) REPACKED(q4_0, 4x4, q8_0) REPACKED(iq4_nl, 4x4, q8_0)

#define ONE(format, column) {#format, ggml_vec_dot_##format##_##column, NULL, NULL}
#define ALL(format, layout, column)                                                     \
    {#format, ggml_vec_dot_##format##_##column, ggml_gemv_##format##_##layout##_##column, \
     ggml_gemm_##format##_##layout##_##column}
static const struct {
    const char *format;
    dot *stored;
    product *one, *four;
} formats[] = {
    ALL(q4_K, 8x4, q8_K),   ALL(q5_K, 8x4, q8_K), ALL(q6_K, 8x4, q8_K), ALL(q8_0, 4x4, q8_0),
    ALL(q4_0, 4x4, q8_0),   ALL(iq4_nl, 4x4, q8_0), ONE(q4_1, q8_1),    ONE(q5_0, q8_0),
    ONE(q5_1, q8_1),        ONE(q2_K, q8_K),      ONE(q3_K, q8_K),      ONE(iq4_xs, q8_K),
    {"f16", ggml_vec_dot_f16, NULL, NULL},
};

int main(int count, char **arguments) {
    if (count != 3)
        return 2;
    // More than any format needs. Zeros take as many instructions as other numbers.
    void *rows = calloc(ROWS, 4 * WEIGHTS), *columns = calloc(4, 4 * WEIGHTS);
    float *out = calloc(ROWS, 4 * sizeof(float));
    for (size_t at = 0; at < sizeof formats / sizeof *formats; at++) {
        if (strcmp(formats[at].format, arguments[1]))
            continue;
        if (!strcmp(arguments[2], "stored")) {
            for (int row = 0; row < ROWS; row++)
                formats[at].stored(WEIGHTS, out + row, 0, rows, 0, columns, 0, 1);
        } else if (!strcmp(arguments[2], "one") && formats[at].one) {
            formats[at].one(WEIGHTS, out, ROWS, rows, columns, 1, ROWS);
        } else if (!strcmp(arguments[2], "four") && formats[at].four) {
            formats[at].four(WEIGHTS, out, ROWS, rows, columns, 4, ROWS);
        } else {
            return 3;
        }
        return 0;
    }
    return 2;
}
