// The time of convolutions in oneDNN with 8-bit codes, layer by layer: onednn_conv SECONDS reads lines that name a
// layer as bench_integer_layers prints it ("dw3x3 s1 32->32 @112": kernel, stride, channels, extent of the input) and
// prints for each the least time of a batch of one. OMP_NUM_THREADS sets the threads.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <set>
#include <string>
#include <unordered_map>

#include <dnnl.hpp>

namespace {

using dnnl::memory;

struct Layer {
  bool depthwise = false;
  int kernel = 1, stride = 1, in = 0, out = 0, extent = 0;
  int pad() const { return kernel / 2; }
  int result() const { return (extent + 2 * pad() - kernel) / stride + 1; }
};

/// False for a line that names no layer.
bool parse(const std::string& line, Layer& layer, std::string& key) {
  const std::size_t at = line.find('@'), cross = line.rfind('x', at);
  if (at == std::string::npos || cross == std::string::npos) return false;
  std::size_t begin = cross;
  while (begin > 0 && line[begin - 1] != ' ') --begin;
  key = line.substr(begin, line.find(' ', at) - begin);
  layer.depthwise = key.rfind("dw", 0) == 0;
  int width = 0;
  return std::sscanf(key.c_str() + (layer.depthwise ? 2 : 0), "%dx%d s%d %d->%d @%d", &layer.kernel, &width,
                     &layer.stride, &layer.in, &layer.out, &layer.extent) == 6 &&
         width == layer.kernel;
}

memory filled(const memory::desc& description, const dnnl::engine& engine) {
  memory made(description, engine);
  std::memset(made.get_data_handle(), 1, description.get_size());
  return made;
}

/// Seconds of the fastest run: codes without a sign in, weights with one, a ReLU on the way out.
double fastest(const Layer& layer, double seconds, const dnnl::engine& engine, dnnl::stream& stream) {
  using tag = memory::format_tag;
  using type = memory::data_type;
  const memory::dims weights = layer.depthwise ? memory::dims{layer.in, 1, 1, layer.kernel, layer.kernel}
                                               : memory::dims{layer.out, layer.in, layer.kernel, layer.kernel};
  const tag door = layer.in == 3 ? tag::nhwc : tag::any;  // images come as they are
  const memory::desc in({1, layer.in, layer.extent, layer.extent}, type::u8, door), w(weights, type::s8, tag::any),
      bias({layer.out}, type::s32, tag::x), out({1, layer.out, layer.result(), layer.result()}, type::u8, tag::any);
  dnnl::post_ops relu;
  relu.append_eltwise(1.F, dnnl::algorithm::eltwise_relu, 0.F, 0.F);
  dnnl::primitive_attr attributes;
  attributes.set_output_scales(0, {1.F / 256});
  attributes.set_post_ops(relu);
  const dnnl::convolution_forward::desc wanted(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
                                               in, w, bias, out, {layer.stride, layer.stride},
                                               {layer.pad(), layer.pad()}, {layer.pad(), layer.pad()});
  const dnnl::convolution_forward::primitive_desc chosen(wanted, attributes, engine);
  const dnnl::convolution_forward convolution(chosen);
  const std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, filled(chosen.src_desc(), engine)},
                                                  {DNNL_ARG_WEIGHTS, filled(chosen.weights_desc(), engine)},
                                                  {DNNL_ARG_BIAS, filled(bias, engine)},
                                                  {DNNL_ARG_DST, filled(chosen.dst_desc(), engine)}};
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  double best = 1e9;
  const auto start = Clock::now();
  for (int run = 0; run < 5 || since(start) < seconds; ++run) {
    const auto begin = Clock::now();
    convolution.execute(stream, arguments);
    stream.wait();
    best = std::min(best, since(begin));
  }
  return best;
}

}  // namespace

int main(int count, char** words) {
  const double seconds = count > 1 ? std::atof(words[1]) : 0.05;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  std::set<std::string> seen;
  for (std::string line, key; std::getline(std::cin, line);) {
    Layer layer;
    if (!parse(line, layer, key) || !seen.insert(key).second) continue;
    try {
      std::printf("onednn %s %.3f us\n", key.c_str(), 1e6 * fastest(layer, seconds, engine, stream));
    } catch (const dnnl::error& error) {
      std::fprintf(stderr, "onednn_conv: %s: %s\n", key.c_str(), error.what());
    }
  }
  return 0;
}
