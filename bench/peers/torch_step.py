#!/usr/bin/python3
"""The time of a training step in PyTorch: torch_step.py float|qat NETWORK --batch N --threads T --size PIXELS --steps K.

`qat` is FX quantization-aware training with symmetric per-tensor grids and observers fused with their quantizers, which
is PyTorch's fastest. Channels are last. Prints the median of the steps and the peak of memory.
"""
import argparse
import os
import resource
import statistics
import time
import warnings


def read_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["float", "qat"])
    parser.add_argument("network")
    for name, default in (("batch", 32), ("threads", 1), ("size", 224), ("steps", 5)):
        parser.add_argument("--" + name, type=int, default=default)
    return parser.parse_args()


arguments = read_arguments()
warnings.filterwarnings("ignore")
os.environ.setdefault("ATEN_CPU_CAPABILITY", "avx512")  # Debian's build takes AVX2 by itself
import torch  # noqa: E402: the environment decides when it is imported
import torchvision  # noqa: E402
from torch import nn  # noqa: E402
from torch.ao import quantization  # noqa: E402
from torch.ao.quantization.quantize_fx import prepare_qat_fx  # noqa: E402

torch.set_num_threads(arguments.threads)
torch.manual_seed(1)


def normed(channels_in, channels_out, kernel, stride):
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
                         nn.BatchNorm2d(channels_out))


class Residual(nn.Module):
    def __init__(self, channels_in, channels_out, stride):
        super().__init__()
        self.first, self.second = normed(channels_in, channels_out, 3, stride), normed(channels_out, channels_out, 3, 1)
        same = stride == 1 and channels_in == channels_out
        self.shortcut = nn.Identity() if same else normed(channels_in, channels_out, 1, stride)
        self.relu, self.last_relu = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        return self.last_relu(self.second(self.relu(self.first(x))) + self.shortcut(x))


def small_resnet(blocks):
    """ResNet for 32 x 32 pixels [He et al. 2015, section 4.2]: three stages of `blocks` blocks."""
    layers, channels = [normed(3, 16, 3, 1), nn.ReLU()], 16
    for width in (16, 32, 64):
        for block in range(blocks):
            layers.append(Residual(channels, width, 2 if block == 0 and width > 16 else 1))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def build():
    small = {"resnet20": 3, "mlperf_resnet8": 1}
    if arguments.network in small:
        return small_resnet(small[arguments.network]), 10
    return getattr(torchvision.models, arguments.network)(weights=None), 1000


def with_quantizers(network):
    def fused(low, high, kind):
        return quantization.FusedMovingAvgObsFakeQuantize.with_args(
            observer=quantization.MovingAverageMinMaxObserver, quant_min=low, quant_max=high, dtype=kind,
            qscheme=torch.per_tensor_symmetric)

    config = quantization.QConfig(activation=fused(0, 255, torch.quint8), weight=fused(-128, 127, torch.qint8))
    torch.backends.quantized.engine = "qnnpack"  # Debian's build has no other for 8 bits in training
    example = torch.zeros(1, 3, arguments.size, arguments.size)
    return prepare_qat_fx(network, quantization.QConfigMapping().set_global(config), (example,))


def main():
    network, classes = build()
    network.train()
    if arguments.kind == "qat":
        network = with_quantizers(network)
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    images = torch.randn(arguments.batch, 3, arguments.size, arguments.size).to(memory_format=torch.channels_last)
    labels = torch.randint(classes, (arguments.batch,))
    loss = nn.CrossEntropyLoss()
    times = []
    for step in range(arguments.steps + 2):  # two to warm up
        begin = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss(network(images), labels).backward()
        optimizer.step()
        times.append(1e3 * (time.perf_counter() - begin))
    times = times[2:]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{arguments.network} {arguments.kind} b{arguments.batch} {arguments.threads}thread: "
          f"{statistics.median(times):.2f} ms (min {min(times):.2f}, {len(times)} steps), {peak} MiB at most")


main()
