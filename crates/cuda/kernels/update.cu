// The norm of the gradients, and AdamW with the moving average, over whole arenas. Twin: fcmae_kernels::adamw.
//
// Whether an update happens is decided here, where the numbers are: `verdict` reads loss and norm, `adamw` obeys.
#include "device.h"

// parts [blocks]: Σ x² of each block's values.
__global__ void sum_of_squares(Span<const float> x, Span<double> parts, u64 values) {
    // Few values to a thread, each square exact in double precision.
    double sum = 0.0;
    const u64 step = u64(gridDim.x) * blockDim.x;
    for (u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x; at < values; at += step) {
        sum += double(x[at]) * double(x[at]);
    }
    __shared__ double sums[1024];
    sums[threadIdx.x] = sum;
    // A tree of fixed shape; blocks have a power of two threads.
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (int(threadIdx.x) < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) parts[blockIdx.x] = sums[0];
}

// What an update does, in the card's memory: the host reads it a step later.
struct Verdict {
    // Σ g² of all gradients, its root.
    double squares;
    float norm;
    // What the gradients are multiplied with.
    float scale;
    // 1 where no weight may change: the loss or the norm is no number, or an earlier update was skipped and the
    // host has not looked yet.
    int skip;
};

// From the sums of `sum_of_squares` and the loss of the update; `clip` is the largest norm, 0 without a bound.
__global__ void verdict(Span<const double> parts, Span<const float> losses, Span<Verdict> out, int count,
                               int micro_batches, float clip, int hold) {
    if (blockIdx.x > 0 || threadIdx.x > 0) return;
    double squares = 0.0;
    for (int part = 0; part < count; ++part) squares += parts[part];
    // On the processor it is rounded, and gradients are no numbers whose squares are none.
    const float rounded = float(squares);
    if (rounded * 0.0f != 0.0f) squares = rounded;
    bool sound = true;
    for (int batch = 0; batch < micro_batches; ++batch) sound = sound && losses[batch] * 0.0f == 0.0f;
    const float norm = float(sqrt(squares));
    sound = sound && norm * 0.0f == 0.0f;
    Verdict& verdict = out[0];
    const int held = hold ? verdict.skip : 0;
    verdict.squares = squares;
    verdict.norm = norm;
    verdict.scale = clip > 0.0f && norm > clip ? clip / norm : 1.0f;
    verdict.skip = held || !sound;
}

// An update's numbers for a group of parameters, in the card's memory.
struct Factors {
    // What is kept of the parameter, 1 − rate · decay; rate / (1 − β₁ᵗ).
    float keep, rate;
    // 1 where there is no gradient: parameters and moments stay as they are, and the average moves on.
    int still;
};

// The numbers that all groups share.
struct Decays {
    float beta1, rest1, beta2, rest2, root, eps, kept, rest;
};

// p ← p · keep; m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← p − rate · m / (√v · root + eps);
// average ← average · kept + rest · p. `groups` has the group of each 16 values; parameters begin at multiples of 16.
__global__ void adamw(Span<float> param, Span<float> first, Span<float> second, Span<float> average,
                             Span<const float> grad, Span<const u16> groups, Span<const Factors> factors,
                             Span<const Decays> decays, Span<const Verdict> verdict, u64 values) {
    const u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= values || verdict[0].skip) return;
    const Decays of = decays[0];
    const Factors own = factors[groups[at / 16]];
    float p = param[at];
    if (!own.still) {
        const float g = grad[at] * verdict[0].scale;
        const float m = of.beta1 * first[at] + of.rest1 * g;
        const float v = of.beta2 * second[at] + of.rest2 * (g * g);
        p = own.keep * p - own.rate * m / (sqrtf(v) * of.root + of.eps);
        first[at] = m;
        second[at] = v;
        param[at] = p;
    }
    if (!average.is_empty()) average[at] = of.kept * average[at] + of.rest * p;
}

// sum ← sum + more
__global__ void accumulate(Span<float> sum, Span<const float> more, u64 values) {
    const u64 at = u64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at < values) sum[at] += more[at];
}

KERNEL(sum_of_squares)
KERNEL(verdict)
KERNEL(adamw)
KERNEL(accumulate)
