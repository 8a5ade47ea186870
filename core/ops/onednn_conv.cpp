// Dense and grouped float convolution on oneDNN: primitives per geometry, weights in the layout that oneDNN chooses.
#include "core/ops/onednn_conv.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>

#include <dnnl.hpp>

#include "core/base/error.hpp"
#include "core/base/tensor.hpp"
#include "core/ops/openmp.hpp"

namespace binade {
namespace {

using dnnl::memory;
using Dims = memory::dims;
using Tag = memory::format_tag;

const dnnl::engine& cpu() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

/// The calling thread's stream. oneDNN must neither start threads of its own nor plan for them: the pool is ours.
dnnl::stream& stream() {
  thread_local dnnl::stream instance = [] {
    omp_set_num_threads(1);
    return dnnl::stream(cpu());
  }();
  return instance;
}

memory::desc plain(const Dims& dims, Tag tag) {
  return {dims, memory::data_type::f32, tag};
}
memory::desc any(const Dims& dims) {
  return {dims, memory::data_type::f32, Tag::any};
}

memory wrap(const memory::desc& desc, const float* data) {
  return {desc, cpu(), const_cast<float*>(data)};  // oneDNN has one kind of memory for what is read and written
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

/// Scratch memory of the calling thread, grown on demand. Slots are for buffers that are needed at the same time.
float* scratch(int slot, std::size_t bytes) {
  thread_local AlignedVector<float> buffers[3];
  auto& buffer = buffers[slot];
  if (buffer.size() * sizeof(float) < bytes) buffer.resize(bytes / sizeof(float) + 1);
  return buffer.data();
}

void reorder(const memory& from, const memory& to) {
  auto source = from, target = to;
  dnnl::reorder(source, target).execute(stream(), source, target);
}

/// A primitive and what has to be known to call it.
struct Prepared {
  dnnl::primitive primitive;
  memory::desc src, weights, dst, scratchpad;

  template <class Descriptor>
  explicit Prepared(const Descriptor& pd) : primitive(pd), scratchpad(pd.scratchpad_desc()) {}

  void run(std::unordered_map<int, memory> arguments) const {
    arguments.emplace(DNNL_ARG_SCRATCHPAD, wrap(scratchpad, scratch(0, scratchpad.get_size())));
    primitive.execute(stream(), arguments);
  }
};

}  // namespace

struct OnednnConv::Impl {
  ConvGeometry g;
  std::optional<Prepared> forward, backward_data;
  AlignedVector<float> forward_weights, backward_weights_packed, no_bias;
  std::map<int, Prepared> backward_weights;

  Dims source(int n) const { return {n, g.ic, g.ih, g.iw}; }
  Dims target(int n) const { return {n, g.oc, g.oh, g.ow}; }
  Dims kernel() const {
    if (g.groups == 1) return {g.oc, g.ic, g.kh, g.kw};
    return {g.groups, g.group_oc(), g.group_ic(), g.kh, g.kw};
  }
  Tag kernel_tag() const { return g.groups == 1 ? Tag::ohwi : Tag::gohwi; }
  Dims strides() const { return {g.stride_h, g.stride_w}; }
  Dims dilates() const { return {g.dilation_h - 1, g.dilation_w - 1}; }
  Dims pads_before() const { return {g.pad_top, g.pad_left}; }
  Dims pads_after() const { return {g.pad_bottom, g.pad_right}; }

  /// With a bias, always: a network's layer would otherwise need two primitives that might round differently.
  auto forward_descriptor(int n) const {
    using Forward = dnnl::convolution_forward;
    const Forward::desc desc(dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct,
                             plain(source(n), Tag::nhwc), any(kernel()), plain({g.oc}, Tag::x),
                             plain(target(n), Tag::nhwc), strides(), dilates(), pads_before(), pads_after());
    return Forward::primitive_desc(desc, attributes(), cpu());
  }

  memory plain_kernel(const float* w) const { return wrap(plain(kernel(), kernel_tag()), w); }
};

OnednnConv::OnednnConv(const ConvGeometry& g) : impl_(std::make_unique<Impl>()) {
  require(supports(g), "oneDNN does not take this convolution");
  impl_->g = g;
}
OnednnConv::~OnednnConv() = default;
OnednnConv::OnednnConv(OnednnConv&&) noexcept = default;
OnednnConv& OnednnConv::operator=(OnednnConv&&) noexcept = default;

bool OnednnConv::supports(const ConvGeometry& g) {
  const int window_h = g.dilation_h * (g.kh - 1) + 1, window_w = g.dilation_w * (g.kw - 1) + 1;
  const int rest_h = g.ih + g.pad_top + g.pad_bottom - window_h, rest_w = g.iw + g.pad_left + g.pad_right - window_w;
  return rest_h >= 0 && rest_w >= 0 && rest_h / g.stride_h + 1 == g.oh && rest_w / g.stride_w + 1 == g.ow;
}

void OnednnConv::pack_forward(const float* w) {
  stream();
  if (!impl_->forward) {
    const auto pd = impl_->forward_descriptor(1);
    impl_->forward.emplace(pd);
    impl_->forward->src = pd.src_desc();
    impl_->forward->weights = pd.weights_desc();
    impl_->forward->dst = pd.dst_desc();
    impl_->forward_weights.resize(pd.weights_desc().get_size() / sizeof(float));
    impl_->no_bias.assign(static_cast<std::size_t>(impl_->g.oc), 0.0F);
  }
  reorder(impl_->plain_kernel(w), wrap(impl_->forward->weights, impl_->forward_weights.data()));
}

void OnednnConv::forward(const float* x, const float* b, float* y) const {
  const Prepared& p = *impl_->forward;
  p.run({{DNNL_ARG_SRC, wrap(p.src, x)},
         {DNNL_ARG_WEIGHTS, wrap(p.weights, impl_->forward_weights.data())},
         {DNNL_ARG_BIAS, wrap(plain({impl_->g.oc}, Tag::x), b != nullptr ? b : impl_->no_bias.data())},
         {DNNL_ARG_DST, wrap(p.dst, y)}});
}

void OnednnConv::pack_backward_data(const float* w) {
  stream();
  if (!impl_->backward_data) {
    using Backward = dnnl::convolution_backward_data;
    const auto src = plain(impl_->source(1), Tag::nhwc), dst = plain(impl_->target(1), Tag::nhwc);
    const Backward::desc desc(dnnl::algorithm::convolution_direct, src, any(impl_->kernel()), dst, impl_->strides(),
                              impl_->dilates(), impl_->pads_before(), impl_->pads_after());
    const Backward::primitive_desc pd(desc, attributes(), cpu(), impl_->forward_descriptor(1));
    impl_->backward_data.emplace(pd);
    impl_->backward_data->src = pd.diff_src_desc();
    impl_->backward_data->weights = pd.weights_desc();
    impl_->backward_data->dst = pd.diff_dst_desc();
    impl_->backward_weights_packed.resize(pd.weights_desc().get_size() / sizeof(float));
  }
  reorder(impl_->plain_kernel(w), wrap(impl_->backward_data->weights, impl_->backward_weights_packed.data()));
}

void OnednnConv::backward_data(const float* dy, float* dx, bool fresh) const {
  const Prepared& p = *impl_->backward_data;
  const std::int64_t count = impl_->g.in_count();
  float* gradient = fresh ? dx : scratch(1, static_cast<std::size_t>(count) * sizeof(float));
  p.run({{DNNL_ARG_DIFF_DST, wrap(p.dst, dy)},
         {DNNL_ARG_WEIGHTS, wrap(p.weights, impl_->backward_weights_packed.data())},
         {DNNL_ARG_DIFF_SRC, wrap(p.src, gradient)}});
  for (std::int64_t i = 0; i < count && !fresh; ++i) dx[i] += gradient[i];
}

void OnednnConv::prepare_backward_weights(int images) {
  stream();
  if (impl_->backward_weights.contains(images)) return;
  using Backward = dnnl::convolution_backward_weights;
  const auto src = plain(impl_->source(images), Tag::nhwc), dst = plain(impl_->target(images), Tag::nhwc);
  const Backward::desc desc(dnnl::algorithm::convolution_direct, src, any(impl_->kernel()), dst, impl_->strides(),
                            impl_->dilates(), impl_->pads_before(), impl_->pads_after());
  const Backward::primitive_desc pd(desc, attributes(), cpu(), impl_->forward_descriptor(images));
  Prepared prepared(pd);
  prepared.src = pd.src_desc();
  prepared.weights = pd.diff_weights_desc();
  prepared.dst = pd.diff_dst_desc();
  impl_->backward_weights.emplace(images, std::move(prepared));
}

void OnednnConv::backward_weights(int images, const float* x, const float* dy, float* dw) const {
  const Prepared& p = impl_->backward_weights.at(images);
  float* packed = scratch(1, p.weights.get_size());
  p.run({{DNNL_ARG_SRC, wrap(p.src, x)},
         {DNNL_ARG_DIFF_DST, wrap(p.dst, dy)},
         {DNNL_ARG_DIFF_WEIGHTS, wrap(p.weights, packed)}});
  reorder(wrap(p.weights, packed), impl_->plain_kernel(dw));
}

}  // namespace binade
