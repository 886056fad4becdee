// Softmax cross entropy against probabilities. Twin: fcmae_kernels::cross_entropy.
//
// logits, targets, grad [N, classes]; the loss is −factor · Σ targets · log softmax(logits), its gradient
// factor · (softmax · (Σ of the row's targets) − targets); `factor` has the 1/N of a mean. A warp has a row. Where a
// logit is no finite number, the row's loss and gradient are NaN.
#include "device.h"

inline __device__ float warp_max(float value) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) {
        value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, distance));
    }
    return value;
}

// parts [N]: each row's part of the loss.
template <class T>
__global__ void cross_entropy(Span<const T> logits, Span<const float> targets, Span<double> parts, Span<T> grad,
                              int rows, int classes, float factor) {
    const int row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    const u64 start = u64(row) * classes;
    float largest = -infinity(), broken = 0.0f;
    for (int c = lane; c < classes; c += WARP) {
        const float logit = widened(logits[start + c]);
        largest = fmaxf(largest, logit);
        // 0 for a number, NaN for anything else.
        broken += logit * 0.0f;
    }
    largest = warp_max(largest);
    broken = warp_sum(broken);
    float sum = 0.0f, weight = 0.0f;
    for (int c = lane; c < classes; c += WARP) {
        sum += expf(widened(logits[start + c]) - largest);
        weight += targets[start + c];
    }
    const float log_sum = logf(warp_sum(sum)) + broken;
    weight = warp_sum(weight);
    float loss = 0.0f;
    for (int c = lane; c < classes; c += WARP) {
        const float log_softmax = widened(logits[start + c]) - largest - log_sum;
        const float target = targets[start + c];
        loss -= target * log_softmax;
        if (!grad.is_empty()) grad[start + c] = rounded<T>(factor * (expf(log_softmax) * weight - target));
    }
    loss = warp_sum(loss);
    if (lane == 0) parts[row] = double(factor) * loss;
}

KERNEL(cross_entropy<float>)
KERNEL(cross_entropy<bf16>)
