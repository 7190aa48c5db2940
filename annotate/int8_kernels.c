/* The layers of a BERT encoder in int8, for processors with AVX-512 VNNI.

   A product takes its weight as int8 with one scale for each output, and its input quantised row by row to eight bits with
   a scale and a zero point of the row's own. The largest values of a row, which would coarsen that scale for all the
   others, are taken out before and added to the result exactly: in the same columns of every row where a weight names
   them, else wherever they are. Sums of integers do not depend on their order, and everything else works row by row or
   window by window, so a window gives the same bits in any company.

   All functions work on the caller's memory, hold no state and may run in any number of threads. */

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* How many of a row's values are kept out of its quantisation at most. As a rule it is four: with them the mentions are as
   near to those of fp32 as with bf16, with two they are not (decision 19). */
#define OUTLIERS 6

/* y = x W' + bias, [rows, inputs] to [rows, outputs]; both a multiple of 64. */
typedef struct {
    int64_t outputs, inputs;
    const int8_t *packed;  /* [outputs / 64, inputs / 4, 64, 4] */
    const int8_t *columns; /* [inputs, outputs]; not needed where columns are named */
    const float *sums;     /* [outputs]: of each output's weights */
    const float *scales;   /* [outputs] */
    const float *bias;     /* [outputs] */
    int64_t named;         /* how many columns are taken out of every row, up to OUTLIERS; 0: the largest values */
    const int32_t *names;  /* [named]: these columns */
    const uint16_t *rest;  /* [inputs / 16]: a bit for each column that is not one of them */
    const float *wide;     /* [named, outputs]: the weights of these columns, not rounded */
} Linear;

typedef struct {
    const float *weight, *bias; /* [width] */
    float epsilon;
} Norm;

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma")))
#define INLINE static inline __attribute__((always_inline)) VNNI

/* Rows that a product takes together: their registers of sums, and what stays in the second-level cache. */
#define BLOCK 6
#define TILE 48

/* Tell whether this processor has what the functions below need. */
int int8_supported(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni");
}

/* A tile of rows as eight bits: value = scale * (quantised - zero), and the values that were kept out. */
typedef struct {
    uint8_t *values; /* [TILE, inputs] */
    float scales[TILE];
    int32_t zeros[TILE];
    int32_t places[TILE][OUTLIERS];
    float outliers[TILE][OUTLIERS];
    int counts[TILE]; /* of the values that were kept out */
} Quantised;

/* e^x, at least e^-87, with the polynomial and the two-part logarithm of Cephes' expf. */
INLINE __m512 exp_ps(__m512 x) {
    x = _mm512_max_ps(x, _mm512_set1_ps(-87.0f));
    const __m512 scaled = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f));
    const __m512 whole = _mm512_roundscale_ps(scaled, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 rest = _mm512_fnmadd_ps(whole, _mm512_set1_ps(0.693359375f), x);
    rest = _mm512_fnmadd_ps(whole, _mm512_set1_ps(-2.12194440e-4f), rest);
    __m512 power = _mm512_set1_ps(1.9875691500e-4f);
    power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(1.3981999507e-3f));
    power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(8.3334519073e-3f));
    power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(4.1665795894e-2f));
    power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(1.6666665459e-1f));
    power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(5.0000001201e-1f));
    power = _mm512_fmadd_ps(power, _mm512_mul_ps(rest, rest), _mm512_add_ps(rest, _mm512_set1_ps(1.0f)));
    return _mm512_scalef_ps(power, whole);
}

/* x * Phi(x): Phi(x) - 1/2 as an odd polynomial of degree 15, fitted to |x| <= 4 and constant beyond. The absolute error is
   5e-5 there, and 4e-5 of x beyond; what is made of the result is rounded to a 255th of its row's range. */
INLINE __m512 gelu_ps(__m512 x) {
    const __m512 near = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(4.0f)), _mm512_set1_ps(-4.0f));
    const __m512 square = _mm512_mul_ps(near, near);
    __m512 sum = _mm512_set1_ps(-1.3012960e-9f);
    sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(1.0419614e-7f));
    sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(-3.6571355e-6f));
    sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(7.4855081e-5f));
    sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(-1.0064907e-3f));
    sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(9.5053995e-3f));
    sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(-6.5887846e-2f));
    sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(3.9867339e-1f));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(near, sum, _mm512_set1_ps(0.5f)));
}

/* The maximum or sum of each of four registers: the four are crossed, so that it takes hardly more than for one. */
#define ACROSS(OPERATION, x) across_##OPERATION(x[0], x[1], x[2], x[3])
#define DEFINE_ACROSS(OPERATION)                                                                                          \
    INLINE __m128 across_##OPERATION(__m512 a, __m512 b, __m512 c, __m512 d) {                                            \
        const __m512 ab = _mm512_##OPERATION##_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));                    \
        const __m512 cd = _mm512_##OPERATION##_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));                    \
        const __m512 low = _mm512_shuffle_ps(ab, cd, 0x44), high = _mm512_shuffle_ps(ab, cd, 0xee);                       \
        const __m512 all = _mm512_##OPERATION##_ps(low, high);                                                            \
        const __m256 half = _mm256_##OPERATION##_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));         \
        return _mm_##OPERATION##_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));                        \
    }
DEFINE_ACROSS(max)
DEFINE_ACROSS(add)

/* Of each of four rows, return the size that its largest values have at least: the fourth largest of 64 sizes, each of
   which is the largest of every 64th value. */
INLINE __m128 large_sizes(const float *const rows[4], int64_t inputs) {
    __m512 a[4], b[4], c[4], d[4], most[4];
    for (int r = 0; r < 4; r++) {
        a[r] = b[r] = c[r] = d[r] = _mm512_setzero_ps();
        for (int64_t at = 0; at < inputs; at += 64) {
            a[r] = _mm512_max_ps(a[r], _mm512_abs_ps(_mm512_loadu_ps(rows[r] + at)));
            b[r] = _mm512_max_ps(b[r], _mm512_abs_ps(_mm512_loadu_ps(rows[r] + at + 16)));
            c[r] = _mm512_max_ps(c[r], _mm512_abs_ps(_mm512_loadu_ps(rows[r] + at + 32)));
            d[r] = _mm512_max_ps(d[r], _mm512_abs_ps(_mm512_loadu_ps(rows[r] + at + 48)));
        }
    }
    for (int rank = 0;; rank++) {
        for (int r = 0; r < 4; r++) most[r] = _mm512_max_ps(_mm512_max_ps(a[r], b[r]), _mm512_max_ps(c[r], d[r]));
        const __m128 sizes = ACROSS(max, most);
        if (rank == 3) return sizes;
        float each[4];
        _mm_storeu_ps(each, sizes);
        for (int r = 0; r < 4; r++) {
            const __m512 size = _mm512_set1_ps(each[r]);
            a[r] = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a[r], size, _CMP_LT_OQ), a[r]);
            b[r] = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(b[r], size, _CMP_LT_OQ), b[r]);
            c[r] = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(c[r], size, _CMP_LT_OQ), c[r]);
            d[r] = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(d[r], size, _CMP_LT_OQ), d[r]);
        }
    }
}

/* Keep the named columns of a row out; the least and the largest of its other values, and zero, are the result. */
INLINE void keep_named(const float *row, const Linear *by, Quantised *to, int64_t index, float *low, float *high) {
    __m512 lows = _mm512_setzero_ps(), highs = lows;
    for (int64_t at = 0; at < by->inputs; at += 16) {
        const __m512 x = _mm512_maskz_loadu_ps(by->rest[at / 16], row + at);
        lows = _mm512_min_ps(lows, x);
        highs = _mm512_max_ps(highs, x);
    }
    for (int64_t name = 0; name < by->named; name++) {
        to->places[index][name] = by->names[name];
        to->outliers[index][name] = row[by->names[name]];
    }
    to->counts[index] = (int)by->named;
    *low = _mm512_reduce_min_ps(lows), *high = _mm512_reduce_max_ps(highs);
}

/* The same for the largest values of the row, up to OUTLIERS. */
INLINE void keep_largest(const float *row, float size, const Linear *by, Quantised *to, int64_t index, float *low,
                         float *high) {
    const __m512 large = _mm512_set1_ps(size);
    __m512 lows = _mm512_setzero_ps(), highs = lows;
    int kept = 0;
    for (int64_t at = 0; at < by->inputs; at += 16) {
        __m512 x = _mm512_loadu_ps(row + at);
        unsigned out = _mm512_cmp_ps_mask(_mm512_abs_ps(x), large, _CMP_GE_OQ);
        if (out) {
            unsigned taken = 0;
            for (; out && kept < OUTLIERS; out &= out - 1, kept++) {
                const int lane = __builtin_ctz(out);
                to->places[index][kept] = (int32_t)(at + lane);
                to->outliers[index][kept] = row[at + lane];
                taken |= 1u << lane;
            }
            x = _mm512_maskz_mov_ps((__mmask16)~taken, x);
        }
        lows = _mm512_min_ps(lows, x);
        highs = _mm512_max_ps(highs, x);
    }
    to->counts[index] = kept;
    /* Fewer than four only where a value is not a number: whoever adds them takes four unasked. */
    for (; kept < 4; kept++) to->places[index][kept] = 0, to->outliers[index][kept] = 0.0f;
    *low = _mm512_reduce_min_ps(lows), *high = _mm512_reduce_max_ps(highs);
}

/* Quantise a row, the input of ``by``, but for what is kept out; the other values lie from ``low`` to ``high``. */
INLINE void quantise_row(const float *row, const Linear *by, Quantised *to, int64_t index, float low, float high) {
    const int64_t inputs = by->inputs;
    const float scale = high - low > 1e-9f ? (high - low) / 255.0f : 1e-9f;
    const __m512 inverse = _mm512_set1_ps(1.0f / scale);
    const __m512i zeros = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_set1_ps(-low), inverse));
    const int32_t zero = _mm_cvtsi128_si32(_mm512_castsi512_si128(zeros));
    to->scales[index] = scale;
    to->zeros[index] = zero;
    uint8_t *const values = to->values + index * inputs;
    /* Four registers are packed into one, saturating; each of its quarters then holds a part of all four. */
    const __m512i shift = _mm512_set1_epi16((int16_t)zero);
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    for (int64_t at = 0; at < inputs; at += 64) {
        const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(row + at), inverse));
        const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(row + at + 16), inverse));
        const __m512i c = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(row + at + 32), inverse));
        const __m512i d = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(row + at + 48), inverse));
        const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), shift);
        const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), shift);
        _mm512_storeu_si512(values + at, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(ab, cd)));
    }
    /* What lay outside of the range was kept out. */
    for (int outlier = 0; outlier < to->counts[index]; outlier++) values[to->places[index][outlier]] = (uint8_t)zero;
}

/* Sixteen bytes as fp32. */
INLINE __m512 wide_ps(const int8_t *bytes) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)bytes)));
}

/* Make 64 sums of each of ``count`` rows into outputs where the columns that were kept out are named. */
INLINE void finish_named(const Linear *by, const Quantised *from, int64_t row, int64_t first, const int32_t (*sums)[64],
                         float *to, const int count) {
    float shifts[BLOCK];
    for (int r = 0; r < count; r++) shifts[r] = from->scales[row + r] * (float)from->zeros[row + r];
    for (int64_t at = first; at < first + 64; at += 16) {
        const __m512 of = _mm512_loadu_ps(by->sums + at);
        __m512 x[BLOCK];
        for (int r = 0; r < count; r++) {
            x[r] = _mm512_cvtepi32_ps(_mm512_load_si512(sums[r] + (at - first)));
            x[r] = _mm512_mul_ps(x[r], _mm512_set1_ps(from->scales[row + r]));
            x[r] = _mm512_fnmadd_ps(_mm512_set1_ps(shifts[r]), of, x[r]);
        }
        for (int64_t name = 0; name < by->named; name++) {
            const __m512 column = _mm512_loadu_ps(by->wide + name * by->outputs + at);
            for (int r = 0; r < count; r++)
                x[r] = _mm512_fmadd_ps(_mm512_set1_ps(from->outliers[row + r][name]), column, x[r]);
        }
        const __m512 scale = _mm512_loadu_ps(by->scales + at), bias = _mm512_loadu_ps(by->bias + at);
        for (int r = 0; r < count; r++)
            _mm512_storeu_ps(to + (row + r) * by->outputs + at, _mm512_fmadd_ps(x[r], scale, bias));
    }
}

/* The same for a row whose largest values were kept out. */
static VNNI void finish_largest(const Linear *by, const Quantised *from, int64_t row, int64_t first, const int32_t *sums,
                                float *to) {
    const __m512 scale = _mm512_set1_ps(from->scales[row]);
    const __m512 shift = _mm512_set1_ps(from->scales[row] * (float)from->zeros[row]);
    const float *const of = by->sums + first, *const scales = by->scales + first, *const bias = by->bias + first;
    float *const here = to + row * by->outputs + first;
    __m512 a = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums)), scale);
    __m512 b = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + 16)), scale);
    __m512 c = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + 32)), scale);
    __m512 d = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + 48)), scale);
    a = _mm512_fnmadd_ps(shift, _mm512_loadu_ps(of), a), b = _mm512_fnmadd_ps(shift, _mm512_loadu_ps(of + 16), b);
    c = _mm512_fnmadd_ps(shift, _mm512_loadu_ps(of + 32), c), d = _mm512_fnmadd_ps(shift, _mm512_loadu_ps(of + 48), d);
    const float *const outliers = from->outliers[row];
    const int32_t *const places = from->places[row];
    /* Four as a rule, and never fewer places, for keep_largest fills them up: these go without a branch. */
#define ADD(number)                                                                                       \
    {                                                                                                     \
        const __m512 x = _mm512_set1_ps(outliers[number]);                                                \
        const int8_t *const column = by->columns + places[number] * by->outputs + first;                  \
        a = _mm512_fmadd_ps(x, wide_ps(column), a), b = _mm512_fmadd_ps(x, wide_ps(column + 16), b);      \
        c = _mm512_fmadd_ps(x, wide_ps(column + 32), c), d = _mm512_fmadd_ps(x, wide_ps(column + 48), d); \
    }
    ADD(0) ADD(1) ADD(2) ADD(3)
    for (int number = 4; number < from->counts[row]; number++) ADD(number)
#undef ADD
    _mm512_storeu_ps(here, _mm512_fmadd_ps(a, _mm512_loadu_ps(scales), _mm512_loadu_ps(bias)));
    _mm512_storeu_ps(here + 16, _mm512_fmadd_ps(b, _mm512_loadu_ps(scales + 16), _mm512_loadu_ps(bias + 16)));
    _mm512_storeu_ps(here + 32, _mm512_fmadd_ps(c, _mm512_loadu_ps(scales + 32), _mm512_loadu_ps(bias + 32)));
    _mm512_storeu_ps(here + 48, _mm512_fmadd_ps(d, _mm512_loadu_ps(scales + 48), _mm512_loadu_ps(bias + 48)));
}

/* Multiply ``count`` rows of a tile, up to BLOCK, with 64 outputs. The sums stand in 24 registers, by name, and leave them
   for the stack before anything else is done: compilers spill an array, or what the rest needs, within the loop. */
INLINE void product(const Linear *by, const Quantised *from, int64_t row, int64_t panel, float *to, const int count) {
    const int64_t inputs = by->inputs, first = 64 * panel;
    const int8_t *weights = by->packed + first * inputs;
    const uint8_t *values = from->values + row * inputs;
    _Alignas(64) int32_t sums[BLOCK][64];
#define START(r) __m512i r##0 = _mm512_setzero_si512(), r##1 = r##0, r##2 = r##0, r##3 = r##0;
#define STEP(r, number)                                              \
    if (count > number) {                                            \
        int32_t four;                                                \
        __builtin_memcpy(&four, values + number * inputs + at, 4);   \
        const __m512i x = _mm512_set1_epi32(four);                   \
        r##0 = _mm512_dpbusd_epi32(r##0, x, w0);                     \
        r##1 = _mm512_dpbusd_epi32(r##1, x, w1);                     \
        r##2 = _mm512_dpbusd_epi32(r##2, x, w2);                     \
        r##3 = _mm512_dpbusd_epi32(r##3, x, w3);                     \
    }
#define LEAVE(r, number)                                             \
    _mm512_store_si512(sums[number], r##0);                          \
    _mm512_store_si512(sums[number] + 16, r##1);                     \
    _mm512_store_si512(sums[number] + 32, r##2);                     \
    _mm512_store_si512(sums[number] + 48, r##3);
    START(a) START(b) START(c) START(d) START(e) START(f)
    for (int64_t at = 0; at < inputs; at += 4, weights += 256) {
        const __m512i w0 = _mm512_loadu_si512(weights), w1 = _mm512_loadu_si512(weights + 64);
        const __m512i w2 = _mm512_loadu_si512(weights + 128), w3 = _mm512_loadu_si512(weights + 192);
        STEP(a, 0) STEP(b, 1) STEP(c, 2) STEP(d, 3) STEP(e, 4) STEP(f, 5)
    }
    LEAVE(a, 0) LEAVE(b, 1) LEAVE(c, 2) LEAVE(d, 3) LEAVE(e, 4) LEAVE(f, 5)
#undef START
#undef STEP
#undef LEAVE
    if (by->named) {
        finish_named(by, from, row, first, sums, to, count);
        return;
    }
    for (int number = 0; number < count; number++) finish_largest(by, from, row + number, first, sums[number], to);
}

/* Multiply a tile of ``rows`` rows with the outputs from ``first`` to ``behind``, multiples of 64: into their columns of
   [rows, outputs] at ``to``. */
static VNNI void multiply_some(const Linear *by, const Quantised *from, int64_t rows, int64_t first, int64_t behind,
                               float *to) {
    for (int64_t panel = first / 64; panel < behind / 64; panel++) {
        int64_t row = 0;
        for (; row + BLOCK <= rows; row += BLOCK) product(by, from, row, panel, to, BLOCK);
        switch (rows - row) {
            case 1: product(by, from, row, panel, to, 1); break;
            case 2: product(by, from, row, panel, to, 2); break;
            case 3: product(by, from, row, panel, to, 3); break;
            case 4: product(by, from, row, panel, to, 4); break;
            case 5: product(by, from, row, panel, to, 5); break;
        }
    }
}

/* Multiply a tile of ``rows`` rows: [rows, outputs] at ``to``. */
INLINE void multiply(const Linear *by, const Quantised *from, int64_t rows, float *to) {
    multiply_some(by, from, rows, 0, by->outputs, to);
}

static VNNI void quantise(const float *values, int64_t rows, const Linear *by, Quantised *to) {
    float low, high;
    for (int64_t row = 0; row < rows && by->named; row++) {
        keep_named(values + row * by->inputs, by, to, row, &low, &high);
        quantise_row(values + row * by->inputs, by, to, row, low, high);
    }
    for (int64_t first = 0; first < rows && !by->named; first += 4) {
        /* The last four rows may be fewer: the last one then stands for those that are missing. */
        const float *four[4];
        for (int r = 0; r < 4; r++) four[r] = values + (first + r < rows ? first + r : rows - 1) * by->inputs;
        float sizes[4];
        _mm_storeu_ps(sizes, large_sizes(four, by->inputs));
        for (int r = 0; r < 4 && first + r < rows; r++) {
            keep_largest(four[r], sizes[r], by, to, first + r, &low, &high);
            quantise_row(four[r], by, to, first + r, low, high);
        }
    }
}

/* Keep the rows of a tile that are wanted, in their order; return how many they are. */
static VNNI int64_t keep_wanted(Quantised *tile, int64_t inputs, int64_t rows, const uint8_t *wanted) {
    int64_t kept = 0;
    for (int64_t row = 0; row < rows; row++) {
        if (!wanted[row]) continue;
        if (kept < row) {
            __builtin_memcpy(tile->values + kept * inputs, tile->values + row * inputs, (size_t)inputs);
            __builtin_memcpy(tile->places[kept], tile->places[row], sizeof tile->places[row]);
            __builtin_memcpy(tile->outliers[kept], tile->outliers[row], sizeof tile->outliers[row]);
            tile->scales[kept] = tile->scales[row];
            tile->zeros[kept] = tile->zeros[row];
            tile->counts[kept] = tile->counts[row];
        }
        kept++;
    }
    return kept;
}

/* Add ``residual`` to a row and normalise it. */
INLINE void add_and_normalise(const float *row, const float *residual, const Norm *norm, int64_t width, float *to) {
    __m512 sum = _mm512_setzero_ps();
    for (int64_t at = 0; at < width; at += 16) {
        const __m512 x = _mm512_add_ps(_mm512_loadu_ps(row + at), _mm512_loadu_ps(residual + at));
        _mm512_storeu_ps(to + at, x);
        sum = _mm512_add_ps(sum, x);
    }
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / (float)width);
    __m512 squares = _mm512_setzero_ps();
    for (int64_t at = 0; at < width; at += 16) {
        const __m512 x = _mm512_sub_ps(_mm512_loadu_ps(to + at), mean);
        squares = _mm512_fmadd_ps(x, x, squares);
    }
    const float variance = _mm512_reduce_add_ps(squares) / (float)width;
    const __m512 inverse = _mm512_set1_ps(1.0f / __builtin_sqrtf(variance + norm->epsilon));
    for (int64_t at = 0; at < width; at += 16) {
        const __m512 x = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(to + at), mean), inverse);
        _mm512_storeu_ps(to + at,
                         _mm512_fmadd_ps(x, _mm512_loadu_ps(norm->weight + at), _mm512_loadu_ps(norm->bias + at)));
    }
}

/* The lanes that are real where so many values are left. */
INLINE __mmask16 real(int64_t left) { return left < 16 ? (__mmask16)((1u << left) - 1) : (__mmask16)0xffff; }

/* Write 16 columns of up to 16 rows, ``stride`` apart, as 16 rows that are ``padded`` apart. Rows that are missing are 0. */
static VNNI void transpose(const float *from, int64_t rows, int64_t stride, float *to, int64_t padded) {
    __m512 a[16], b[16];
    for (int r = 0; r < 16; r++) a[r] = r < rows ? _mm512_loadu_ps(from + r * stride) : _mm512_setzero_ps();
    for (int r = 0; r < 16; r += 2) {
        b[r] = _mm512_unpacklo_ps(a[r], a[r + 1]);
        b[r + 1] = _mm512_unpackhi_ps(a[r], a[r + 1]);
    }
    for (int r = 0; r < 16; r += 4) { /* a[r + c]: column c of each quarter, of rows r to r + 3 */
        a[r] = _mm512_shuffle_ps(b[r], b[r + 2], 0x44);
        a[r + 1] = _mm512_shuffle_ps(b[r], b[r + 2], 0xee);
        a[r + 2] = _mm512_shuffle_ps(b[r + 1], b[r + 3], 0x44);
        a[r + 3] = _mm512_shuffle_ps(b[r + 1], b[r + 3], 0xee);
    }
    for (int c = 0; c < 4; c++) { /* quarters 0 and 2, and 1 and 3, of eight rows each */
        b[c] = _mm512_shuffle_f32x4(a[c], a[c + 4], 0x88);
        b[c + 4] = _mm512_shuffle_f32x4(a[c], a[c + 4], 0xdd);
        b[c + 8] = _mm512_shuffle_f32x4(a[c + 8], a[c + 12], 0x88);
        b[c + 12] = _mm512_shuffle_f32x4(a[c + 8], a[c + 12], 0xdd);
    }
    for (int c = 0; c < 4; c++) {
        _mm512_storeu_ps(to + c * padded, _mm512_shuffle_f32x4(b[c], b[c + 8], 0x88));
        _mm512_storeu_ps(to + (c + 4) * padded, _mm512_shuffle_f32x4(b[c + 4], b[c + 12], 0x88));
        _mm512_storeu_ps(to + (c + 8) * padded, _mm512_shuffle_f32x4(b[c], b[c + 8], 0xdd));
        _mm512_storeu_ps(to + (c + 12) * padded, _mm512_shuffle_f32x4(b[c + 4], b[c + 12], 0xdd));
    }
}

/* Mix the rows of one window under one head. ``key`` and ``value`` point to the head's part of the first row, and rows are
   ``stride`` apart. There are ``count`` queries: ``rows`` are numbers, counted from ``query``, of the rows in which they
   stand. ``padded`` is the length rounded up to 16; ``keys`` has [width, padded] places and ``scores`` [4, padded]. What is
   mixed goes to ``to``, one row for each query, ``hidden`` apart. */
static VNNI void attend_head(const float *query, const int32_t *rows, int64_t count, const float *key, const float *value,
                             int64_t length, int64_t stride, int64_t hidden, int64_t width, int64_t padded, float *keys,
                             float *scores, float *to) {
    for (int64_t row = 0; row < length; row += 16)
        for (int64_t at = 0; at < width; at += 16)
            transpose(key + row * stride + at, length - row, stride, keys + at * padded + row, padded);
    const __m512 scale = _mm512_set1_ps(1.0f / __builtin_sqrtf((float)width)), least = _mm512_set1_ps(-3e38f);
    for (int64_t first = 0; first < count; first += 4) {
        /* The last four queries may be fewer: the last one then stands for those that are missing. */
        const float *four[4];
        for (int r = 0; r < 4; r++) four[r] = query + rows[first + r < count ? first + r : count - 1] * stride;
        const float *const row0 = four[0], *const row1 = four[1], *const row2 = four[2], *const row3 = four[3];
        int64_t block = 0;
        for (; block + 32 <= padded; block += 32) {
            __m512 a0 = _mm512_setzero_ps(), b0 = a0, c0 = a0, d0 = a0, a1 = a0, b1 = a0, c1 = a0, d1 = a0;
            const float *column = keys + block;
            for (int64_t at = 0; at < width; at++, column += padded) {
                const __m512 x0 = _mm512_loadu_ps(column), x1 = _mm512_loadu_ps(column + 16);
                const __m512 a = _mm512_set1_ps(row0[at]), b = _mm512_set1_ps(row1[at]);
                const __m512 c = _mm512_set1_ps(row2[at]), d = _mm512_set1_ps(row3[at]);
                a0 = _mm512_fmadd_ps(a, x0, a0), a1 = _mm512_fmadd_ps(a, x1, a1);
                b0 = _mm512_fmadd_ps(b, x0, b0), b1 = _mm512_fmadd_ps(b, x1, b1);
                c0 = _mm512_fmadd_ps(c, x0, c0), c1 = _mm512_fmadd_ps(c, x1, c1);
                d0 = _mm512_fmadd_ps(d, x0, d0), d1 = _mm512_fmadd_ps(d, x1, d1);
            }
            float *const here = scores + block;
            _mm512_storeu_ps(here, a0), _mm512_storeu_ps(here + 16, a1);
            _mm512_storeu_ps(here + padded, b0), _mm512_storeu_ps(here + padded + 16, b1);
            _mm512_storeu_ps(here + 2 * padded, c0), _mm512_storeu_ps(here + 2 * padded + 16, c1);
            _mm512_storeu_ps(here + 3 * padded, d0), _mm512_storeu_ps(here + 3 * padded + 16, d1);
        }
        if (block < padded) {
            __m512 a0 = _mm512_setzero_ps(), b0 = a0, c0 = a0, d0 = a0;
            const float *column = keys + block;
            for (int64_t at = 0; at < width; at++, column += padded) {
                const __m512 x0 = _mm512_loadu_ps(column);
                a0 = _mm512_fmadd_ps(_mm512_set1_ps(row0[at]), x0, a0);
                b0 = _mm512_fmadd_ps(_mm512_set1_ps(row1[at]), x0, b0);
                c0 = _mm512_fmadd_ps(_mm512_set1_ps(row2[at]), x0, c0);
                d0 = _mm512_fmadd_ps(_mm512_set1_ps(row3[at]), x0, d0);
            }
            float *const here = scores + block;
            _mm512_storeu_ps(here, a0), _mm512_storeu_ps(here + padded, b0);
            _mm512_storeu_ps(here + 2 * padded, c0), _mm512_storeu_ps(here + 3 * padded, d0);
        }
        __m512 most[4], total[4];
        for (int r = 0; r < 4; r++) {
            most[r] = least;
            for (int64_t at = 0; at < length; at += 16)
                most[r] = _mm512_mask_max_ps(most[r], real(length - at), most[r], _mm512_loadu_ps(scores + r * padded + at));
        }
        float highest[4], inverse[4];
        _mm_storeu_ps(highest, ACROSS(max, most));
        for (int r = 0; r < 4; r++) {
            const __m512 top = _mm512_set1_ps(highest[r]);
            total[r] = _mm512_setzero_ps();
            for (int64_t at = 0; at < length; at += 16) {
                float *const shares = scores + r * padded + at;
                const __m512 share = exp_ps(_mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(shares), top), scale));
                total[r] = _mm512_mask_add_ps(total[r], real(length - at), total[r], share);
                _mm512_storeu_ps(shares, share);
            }
        }
        _mm_storeu_ps(inverse, _mm_div_ps(_mm_set1_ps(1.0f), ACROSS(add, total)));
        for (int64_t part = 0; part < width; part += 32) {
            const int64_t other = part + 16 < width ? part + 16 : part; /* a width of 16 computes its part twice */
            __m512 a0 = _mm512_setzero_ps(), b0 = a0, c0 = a0, d0 = a0, a1 = a0, b1 = a0, c1 = a0, d1 = a0;
            for (int64_t row = 0; row < length; row++) {
                const __m512 x0 = _mm512_loadu_ps(value + row * stride + part);
                const __m512 x1 = _mm512_loadu_ps(value + row * stride + other);
                const float *const share = scores + row;
                const __m512 a = _mm512_set1_ps(share[0]), b = _mm512_set1_ps(share[padded]);
                const __m512 c = _mm512_set1_ps(share[2 * padded]), d = _mm512_set1_ps(share[3 * padded]);
                a0 = _mm512_fmadd_ps(a, x0, a0), a1 = _mm512_fmadd_ps(a, x1, a1);
                b0 = _mm512_fmadd_ps(b, x0, b0), b1 = _mm512_fmadd_ps(b, x1, b1);
                c0 = _mm512_fmadd_ps(c, x0, c0), c1 = _mm512_fmadd_ps(c, x1, c1);
                d0 = _mm512_fmadd_ps(d, x0, d0), d1 = _mm512_fmadd_ps(d, x1, d1);
            }
            const __m512 sums[4][2] = {{a0, a1}, {b0, b1}, {c0, c1}, {d0, d1}};
            for (int r = 0; r < 4 && first + r < count; r++) {
                const __m512 whole = _mm512_set1_ps(inverse[r]);
                float *const here = to + (first + r) * hidden;
                _mm512_storeu_ps(here + part, _mm512_mul_ps(sums[r][0], whole));
                _mm512_storeu_ps(here + other, _mm512_mul_ps(sums[r][1], whole));
            }
        }
    }
}

/* Cut off the next part of the caller's memory, which begins at a multiple of 64 bytes. */
static void *take(char **memory, int64_t bytes) {
    char *const part = *memory;
    *memory += (bytes + 63) / 64 * 64;
    return part;
}

static int64_t most_rows(int64_t longest) { return longest > 2 * TILE ? longest : 2 * TILE; }

static int64_t pad(int64_t length) { return (length + 15) / 16 * 16; }

/* How many bytes ``memory`` has for an encoder of these sizes and windows of at most ``longest`` rows. */
int64_t int8_memory(int64_t width, int64_t raised, int64_t longest) {
    const int64_t most = raised > width ? raised : width, parts = 64 * 4;
    const int64_t attend = TILE * width + 4 * (most_rows(longest) * (3 * width + 1) + (width + 4) * pad(longest));
    const int64_t feed = TILE * most + 4 * TILE * (most + width);
    return (attend > feed ? attend : feed) + parts;
}

/* Attention: ``hidden``, [rows, hidden], to ``mixed``, for windows of ``lengths`` rows one after another. Where ``wanted``,
   one byte a row, is given, only rows that are wanted are mixed, and ``mixed`` has them one after another. */
VNNI void int8_attend(const Linear *query_key_value, const float *hidden, const int64_t *lengths, int64_t windows,
                      int64_t heads, const uint8_t *wanted, char *memory, float *mixed) {
    const int64_t width = query_key_value->inputs, stride = 3 * width, each = width / heads;
    int64_t longest = 1;
    for (int64_t window = 0; window < windows; window++)
        if (lengths[window] > longest) longest = lengths[window];
    const int64_t most = most_rows(longest);
    Quantised quantised;
    quantised.values = take(&memory, TILE * width);
    float *const all = take(&memory, 4 * most * stride);
    int32_t *const queries = take(&memory, 4 * most); /* the rows of ``all`` in which they stand */
    float *const keys = take(&memory, 4 * each * pad(longest)), *const scores = take(&memory, 4 * 4 * pad(longest));
    for (int64_t window = 0, start = 0; window < windows;) {
        /* As many windows as the cache holds, and one at least. */
        int64_t behind = window + 1, rows = lengths[window], asked = 0;
        while (behind < windows && rows + lengths[behind] <= most) rows += lengths[behind++];
        for (int64_t row = 0; row < rows; row += TILE) {
            int64_t count = rows - row < TILE ? rows - row : TILE;
            quantise(hidden + (start + row) * width, count, query_key_value, &quantised);
            multiply_some(query_key_value, &quantised, count, width, stride, all + row * stride);
            if (wanted) count = keep_wanted(&quantised, width, count, wanted + start + row);
            multiply_some(query_key_value, &quantised, count, 0, width, all + row * stride);
            for (int64_t query = 0; query < count; query++) queries[asked++] = (int32_t)(row + query);
        }
        const int32_t *query = queries;
        for (int64_t row = 0; window < behind; row += lengths[window], start += lengths[window], window++) {
            int64_t count = wanted ? 0 : lengths[window];
            for (int64_t place = start; wanted && place < start + lengths[window]; place++) count += wanted[place] != 0;
            for (int64_t head = 0; head < heads; head++) {
                const float *const key = all + row * stride + width + head * each;
                attend_head(all + head * each, query, count, key, key + width, lengths[window], stride, width, each,
                            pad(lengths[window]), keys, scores, mixed + head * each);
            }
            query += count;
            mixed += count * width;
        }
    }
}

/* What follows attention in a layer: ``hidden``, [rows, hidden], becomes what the layer makes of it and of ``mixed``. */
VNNI void int8_feed(const Linear *attention_output, const Norm *attention_norm, const Linear *intermediate,
                    const Linear *output, const Norm *output_norm, const float *mixed, int64_t rows, char *memory,
                    float *hidden) {
    const int64_t width = attention_output->outputs, raised = intermediate->outputs;
    const int64_t most = raised > width ? raised : width;
    Quantised quantised;
    quantised.values = take(&memory, TILE * most);
    float *const wide = take(&memory, 4 * TILE * most), *const attended = take(&memory, 4 * TILE * width);
    for (int64_t row = 0; row < rows; row += TILE) {
        const int64_t count = rows - row < TILE ? rows - row : TILE;
        quantise(mixed + row * width, count, attention_output, &quantised);
        multiply(attention_output, &quantised, count, wide);
        for (int64_t r = 0; r < count; r++)
            add_and_normalise(wide + r * width, hidden + (row + r) * width, attention_norm, width,
                              attended + r * width);
        quantise(attended, count, intermediate, &quantised);
        multiply(intermediate, &quantised, count, wide);
        for (int64_t at = 0; at < count * raised; at += 16)
            _mm512_storeu_ps(wide + at, gelu_ps(_mm512_loadu_ps(wide + at)));
        quantise(wide, count, output, &quantised);
        multiply(output, &quantised, count, wide);
        for (int64_t r = 0; r < count; r++)
            add_and_normalise(wide + r * width, attended + r * width, output_norm, width, hidden + (row + r) * width);
    }
}

/* The heads: [rows, width] to [rows, outputs], in fp32. ``columns`` is [width, outputs]; outputs a multiple of 16. */
VNNI void int8_classify(const float *rows, int64_t count, int64_t width, const float *columns, const float *bias,
                        int64_t outputs, float *to) {
    for (int64_t row = 0; row < count; row += 4)
        for (int64_t first = 0; first < outputs; first += 16) {
            const float *of[4];
            for (int r = 0; r < 4; r++) of[r] = rows + (row + r < count ? row + r : count - 1) * width;
            const __m512 start = _mm512_loadu_ps(bias + first);
            __m512 a = start, b = start, c = start, d = start;
            for (int64_t at = 0; at < width; at++) {
                const __m512 column = _mm512_loadu_ps(columns + at * outputs + first);
                a = _mm512_fmadd_ps(_mm512_set1_ps(of[0][at]), column, a);
                b = _mm512_fmadd_ps(_mm512_set1_ps(of[1][at]), column, b);
                c = _mm512_fmadd_ps(_mm512_set1_ps(of[2][at]), column, c);
                d = _mm512_fmadd_ps(_mm512_set1_ps(of[3][at]), column, d);
            }
            const __m512 sums[4] = {a, b, c, d};
            for (int r = 0; r < 4 && row + r < count; r++) _mm512_storeu_ps(to + (row + r) * outputs + first, sums[r]);
        }
}
