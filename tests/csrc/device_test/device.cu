// The kernels on the GPU, by their launch functions (cuda/launch.h): values and times.
#include <algorithm>
#include <cuda_runtime_api.h>

#include <functional>
#include <memory>

#include "cuda/attention/fast.h"
#include "cuda/attention/simple.h"
#include "cuda/gram/group.h"
#include "cuda/launch.h"
#include "problem.h"

namespace device_test {

using namespace vitprobe;
using namespace vitprobe::kernels;

namespace {

constexpr int kTimes = 21;  // of which the median is told

struct Failure {
  std::string what;
};

void check(cudaError_t error) {
  if (error != cudaSuccess) throw Failure{cudaGetErrorString(error)};
}

// Memory on the GPU, all NaN at first: what is read must have been written.
class Memory {
 public:
  explicit Memory(int64_t bytes) : bytes_(bytes) {
    void* place = nullptr;
    check(cudaMalloc(&place, std::max<int64_t>(bytes, 16)));
    place_ = std::shared_ptr<void>(place, [](void* held) { cudaFree(held); });
    check(cudaMemset(place, 0xff, bytes));
  }
  template <typename T> T* as() const { return static_cast<T*>(place_.get()); }
  int64_t bytes() const { return bytes_; }

 private:
  int64_t bytes_;
  std::shared_ptr<void> place_;
};

// What one call needs: inputs, workspace and result, and the call.
struct Call {
  std::vector<Memory> memory;
  std::vector<AnyMatrix> x;
  Element kind = Element::f32;  // of the result
  Memory out{0}, norms{0};      // norms: of gram_fast, behind the vectors
  std::function<cudaError_t()> launch;

  template <typename T> T* workspace(int64_t count) {
    memory.emplace_back(count * static_cast<int64_t>(sizeof(T)));
    return memory.back().as<T>();
  }
  void result(Element of, int64_t count) {
    kind = of;
    out = Memory(count * size_of(of));
  }
};

// The rows as they lie, gaps and alignment kept.
void bring(Call& call, const AnyMatrix& view, Element kind) {
  const auto* start = static_cast<const unsigned char*>(view.data);
  const auto shift = static_cast<int64_t>(reinterpret_cast<uintptr_t>(start) % 16);
  const int64_t bytes = ((view.rows - 1) * view.stride + view.columns) * size_of(kind);
  auto* place = call.workspace<unsigned char>(bytes + shift) + shift;
  check(cudaMemcpy(place, start, bytes, cudaMemcpyHostToDevice));
  call.x.push_back({place, view.rows, view.columns, view.stride});
}

AnyHeads heads(const void* data, const Strides& by) {
  return {data, {by.of[0], by.of[1], by.of[2], by.of[3]}};
}

void prepare_simple_gram(Call& call, const Problem& problem) {
  const AnyMatrix x = call.x[0];
  const ProductPlan plan = plan_product(x.rows, x.rows, x.columns, true);
  void* mean = call.workspace<double>(x.columns);
  auto* partials = call.workspace<double>(plan.partials());
  const bool wide = problem.wide || problem.kind == Element::f64;
  call.result(wide ? Element::f64 : Element::f32, packed_size(x.rows, true));
  call.launch = [=, type = problem.kind, to = call.kind, out = call.out] {
    return launch_gram(x, type, plan, mean, partials, out.as<void>(), to, nullptr);
  };
}

void prepare_fast_grams(Call& call, const Problem& problem) {
  const auto count = static_cast<int64_t>(call.x.size());
  const int64_t n = call.x[0].rows, length = packed_size(n, true);
  int64_t columns = 0;
  for (const AnyMatrix& x : call.x) columns = std::max(columns, x.columns);
  const GroupSizes sizes = group_sizes(n, count, columns, problem.num_sms);
  GroupWorkspace work{};
  work.partials = call.workspace<float>(sizes.partials);
  work.shifts = call.workspace<float>(sizes.shifts);
  work.packed = call.workspace<double>(sizes.packed);
  work.sums = call.workspace<double>(sizes.sums);
  work.squares = call.workspace<double>(sizes.squares);
  call.norms = Memory(count * size_of(Element::f64));
  call.result(Element::f32, count * length);
  call.launch = [=, x = call.x, vectors = call.out, norms = call.norms, type = problem.kind,
                 tf32 = problem.tf32, sms = problem.num_sms] {
    return launch_centered_grams(x.data(), count, type, tf32, sms, true, work,
                                 {vectors.as<float>(), length, norms.as<double>()}, nullptr);
  };
}

void prepare_center(Call& call, const Problem& problem) {
  auto* sums = call.workspace<double>(center_sums(problem.n));
  call.result(problem.wide ? Element::f64 : Element::f32, packed_size(problem.n, problem.biased));
  const Element to = call.kind;
  call.launch = [=, x = call.x[0], out = call.out, from = problem.kind, n = problem.n,
                 biased = problem.biased] {
    return launch_center_pack(x.data, from, n, biased, sums, out.as<void>(), to, nullptr);
  };
}

void prepare_product(Call& call, const Problem& problem) {
  const AnyMatrix a = call.x.front(), b = call.x.back();
  const bool same = call.x.size() == 1;
  call.result(Element::f64, a.rows * b.rows);
  check(cudaMemset(call.out.as<void>(), 0, call.out.bytes()));
  const Accumulator acc{call.out.as<double>(), a.rows, b.rows, b.rows, 1};
  if (problem.op == Op::hsic_fast) {
    const SplitPlan plan = plan_splits(a.rows, b.rows, a.columns, same);
    auto* partials = call.workspace<float>(plan.partials());
    call.launch = [=] { return launch_hsic_accumulate_fast(a, b, plan, partials, acc, nullptr); };
  } else {
    const ProductPlan plan = plan_product(a.rows, b.rows, a.columns, same);
    auto* partials = call.workspace<double>(plan.partials());
    call.launch = [=, type = problem.kind] {
      return launch_hsic_accumulate(a, b, type, plan, partials, acc, nullptr);
    };
  }
}

void prepare_attention(Call& call, const Problem& problem) {
  const AttentionShape shape = problem.shape;
  const AnyHeads q = heads(call.x[0].data, strides_of(shape, false));
  const AnyHeads k = heads(call.x[1].data, strides_of(shape, true));
  const bool biased = call.x.size() > 2;
  const AnyHeads bias = heads(biased ? call.x[2].data : nullptr, bias_strides(shape));
  const Element type = problem.kind;
  const bool row = problem.op == Op::class_row, fast = problem.op == Op::attention_fast;
  const int64_t sms = problem.num_sms;
  auto* partials =
      call.workspace<double>(fast ? fast_partials(shape, sms)
                                  : attention_partials(shape, AttentionQueries<float>::kQueries));
  call.result(problem.kind == Element::f64 ? Element::f64 : Element::f32,
              shape.pairs() * (row ? shape.tokens : kStatistics));
  call.launch = [=, out = call.out] {
    if (row) return launch_class_row(shape, q, k, type, bias, out.as<void>(), nullptr);
    return fast ? launch_attention_fast(shape, q, k, type, bias, sms, partials, out.as<float>(),
                                        nullptr)
                : launch_attention(shape, q, k, type, bias, partials, out.as<void>(), nullptr);
  };
}

void prepare(Call& call, const Problem& problem) {
  for (size_t i = 0; i < problem.x.size(); ++i) bring(call, problem.x[i], kind_of(problem, i));
  switch (problem.op) {
    case Op::gram_simple: return prepare_simple_gram(call, problem);
    case Op::gram_fast: return prepare_fast_grams(call, problem);
    case Op::center: return prepare_center(call, problem);
    case Op::hsic_simple:
    case Op::hsic_fast: return prepare_product(call, problem);
    default: return prepare_attention(call, problem);
  }
}

Values read(const Memory& memory, Element kind) {
  std::vector<unsigned char> bytes(memory.bytes());
  check(cudaMemcpy(bytes.data(), memory.as<void>(), bytes.size(), cudaMemcpyDeviceToHost));
  const auto* wide = reinterpret_cast<const double*>(bytes.data());
  const auto* single = reinterpret_cast<const float*>(bytes.data());
  Values out(bytes.size() / size_of(kind));
  for (size_t i = 0; i < out.size(); ++i) out[i] = kind == Element::f64 ? wide[i] : single[i];
  return out;
}

double median_microseconds(const Call& call) {
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin));
  check(cudaEventCreate(&end));
  std::vector<float> times(kTimes);
  for (float& milliseconds : times) {
    check(cudaEventRecord(begin, nullptr));
    check(call.launch());
    check(cudaEventRecord(end, nullptr));
    check(cudaEventSynchronize(end));
    check(cudaEventElapsedTime(&milliseconds, begin, end));
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::nth_element(times.begin(), times.begin() + kTimes / 2, times.end());
  return 1e3 * times[kTimes / 2];
}

}  // namespace

std::string no_device() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return cudaGetErrorString(error);
  return count > 0 ? "" : "no CUDA device";
}

std::string device_name() {
  cudaDeviceProp of;
  if (cudaGetDeviceProperties(&of, 0) != cudaSuccess) return "unknown";
  return std::string(of.name) + ", sm_" + std::to_string(of.major) + std::to_string(of.minor);
}

int64_t device_sms() {
  int count = 0;
  return cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, 0) == cudaSuccess ? count
                                                                                          : 1;
}

Found on_device(const Problem& problem, bool timed) {
  Found found;
  try {
    Call call;
    prepare(call, problem);
    check(call.launch());
    check(cudaDeviceSynchronize());
    found.values = read(call.out, call.kind);
    const Values norms = read(call.norms, Element::f64);
    found.values.insert(found.values.end(), norms.begin(), norms.end());
    found.bytes = static_cast<double>(call.out.bytes());
    for (size_t i = 0; i < problem.x.size(); ++i) {
      const AnyMatrix& x = problem.x[i];
      found.bytes += static_cast<double>(x.rows * x.columns * size_of(kind_of(problem, i)));
    }
    if (timed) found.microseconds = median_microseconds(call);
  } catch (const Failure& failure) {
    found.failure = failure.what;
  }
  return found;
}

}  // namespace device_test
