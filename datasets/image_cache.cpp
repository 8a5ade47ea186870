// The decoded cache: loader threads take the next file until none is left; bad ones are collected.
#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/io/read_file.hpp"
#include "datasets/loader.hpp"

namespace binade {
namespace {

std::size_t default_cache_bytes() {
  const long pages = ::sysconf(_SC_AVPHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  const std::size_t available =
      pages > 0 && page > 0 ? static_cast<std::size_t>(pages) * static_cast<std::size_t>(page) : 0;
  return std::min(available / 2, std::size_t{8} << 30);
}

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 29;
  return read_whole_file(path, "an image", kMostBytes);
}

ImageCache::ImageCache(Dataset dataset, Prepare prepare, const LoadOptions& options)
    : dataset_(std::move(dataset)),
      prepare_(std::move(prepare)),
      skip_bad_images_(options.skip_bad_images),
      budget_bytes_(options.cache_bytes != 0 ? options.cache_bytes : default_cache_bytes()),
      slots_(dataset_.items.size()) {
  require(options.threads >= 1, "ImageCache: at least one loader thread");
  const std::size_t threads =
      std::min(static_cast<std::size_t>(options.threads), std::max<std::size_t>(slots_.size(), 1));
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

ImageCache::~ImageCache() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void ImageCache::work() {
  while (true) {
    std::size_t item = 0;
    {
      const std::scoped_lock lock(mutex_);
      if (stop_ || next_ == slots_.size()) return;
      item = next_++;
    }
    load(item);
    {
      const std::scoped_lock lock(mutex_);
      slots_[item].done = true;
      // Which images are kept is decided by what fits when they arrive; what they hold does not depend on it.
      const LabelledPixels& pixels = slots_[item].pixels;
      const auto bytes = static_cast<std::size_t>(pixels.image.count() + pixels.labels.count());
      if (bytes <= budget_bytes_) {
        budget_bytes_ -= bytes;
      } else {
        slots_[item].pixels = {};
      }
    }
    loaded_.notify_all();
  }
}

LabelledPixels ImageCache::prepare(const DatasetItem& item, std::span<const std::byte> file, Identity* identity) const {
  if (item.label_map.empty()) return prepare_(file, {}, identity);
  return prepare_(file,
                  with_context("label map " + item.label_map,
                               [&] {
                                 return to_classes(decode_label_map(read_file(dataset_.root / item.label_map)),
                                                   dataset_.label_values);
                               }),
                  identity);
}

void ImageCache::load(std::size_t item) {
  Slot& slot = slots_[item];
  try {
    const std::vector<std::byte> bytes = read_file(dataset_.file(dataset_.items[item]));
    slot.hash = sha256_hex(bytes);
    slot.pixels = prepare(dataset_.items[item], bytes, &slot.identity);
  } catch (const std::exception& error) {
    slot.bad = error.what();
  }
}

void ImageCache::finish() {
  if (finished_) return;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  std::vector<BadImage> bad;
  std::vector<std::string> offenders;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].bad.empty()) continue;
    bad.push_back({dataset_.items[i].path, slots_[i].bad});
    offenders.push_back(fmt::format("{}: {}", bad.back().path, bad.back().reason));
  }
  const std::size_t total = slots_.size();
  if (!bad.empty() && (!skip_bad_images_ || bad.size() == total)) {
    throw DataError(fmt::format(
        "{} of {} images of '{}' cannot be used; replace or remove them{}{}", bad.size(), total, dataset_.root.string(),
        bad.size() == total ? "" : ", or leave them out with --skip-bad-images", list_of(offenders)));
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < total; ++i) {
    if (!slots_[i].bad.empty()) continue;
    hashes_.push_back(std::move(slots_[i].hash));
    identities_.push_back(std::move(slots_[i].identity));
    if (kept != i) {
      slots_[kept] = std::move(slots_[i]);
      dataset_.items[kept] = std::move(dataset_.items[i]);
    }
    ++kept;
  }
  slots_.resize(kept);
  dataset_.items.resize(kept);
  bad_ = std::move(bad);
  finished_ = true;
}

void ImageCache::wait_for(int first, int count) {
  if (finished_) return;
  if (skip_bad_images_) return finish();
  require(first >= 0 && count >= 0 && first + count <= this->count(), "ImageCache: positions outside of the data set");
  bool is_bad = false;
  {
    std::unique_lock lock(mutex_);
    for (int i = first; i < first + count; ++i) {
      const Slot& slot = slots_[static_cast<std::size_t>(i)];
      loaded_.wait(lock, [&] { return slot.done; });
      is_bad = is_bad || !slot.bad.empty();
    }
  }
  if (is_bad) finish();
}

const LabelledPixels& ImageCache::image(int item, LabelledPixels& scratch) const {
  const auto index = static_cast<std::size_t>(item);
  if (slots_[index].pixels.image.count() > 0) return slots_[index].pixels;
  const std::filesystem::path path = dataset_.file(dataset_.items[index]);
  scratch = with_context("reading '" + path.string() + "' again",
                         [&] { return prepare(dataset_.items[index], read_file(path), nullptr); });
  return scratch;
}

}  // namespace binade
