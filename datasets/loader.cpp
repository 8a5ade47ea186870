// The sources above the cache: images by position for evaluation, augmented batches for training.
#include "datasets/loader.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"

namespace binade {
namespace {

/// Evaluation's view of an image and its label map.
LabelledPixels prepare_evaluation(std::span<const std::byte> file, Pixels labels, const Preprocessing& preprocessing,
                                  LoadOptions::Resolution resolution, Identity* identity) {
  LabelledPixels prepared{prepare_image(file, preprocessing, identity), std::move(labels)};
  if (prepared.labels.count() == 0) return prepared;
  if (resolution == LoadOptions::Resolution::network) {
    prepared.labels = resize_and_crop_labels(prepared.labels, preprocessing);
  } else if (!keeps_everything(prepared.labels, preprocessing)) {
    throw DataError(
        "the network sees a crop of the image, so that its label map cannot be compared as it is; give the resize rule "
        "'exact', or count pixels at the resolution of the network");
  }
  return prepared;
}

/// What training varies anew in every epoch. Without random crops every epoch would resize alike, and an image that
/// does not fit must show now.
LabelledPixels prepare_training(std::span<const std::byte> file, const Pixels& labels,
                                const Preprocessing& preprocessing, const Augmentation& augmentation,
                                Identity* identity) {
  Pixels image = decode_image(file, preprocessing.color, identity);
  if (labels.count() > 0) {
    Pixels resized = resize_by_rule(image, preprocessing);
    const Shape& shape = resized.shape();
    Pixels classes = resize_labels(labels, shape.h, shape.w);
    return {std::move(resized), std::move(classes)};
  }
  return {augmentation.random_crop ? std::move(image) : resize_and_crop(image, preprocessing), {}};
}

}  // namespace

LoadedImages::LoadedImages(const Dataset& dataset, const Preprocessing& preprocessing, const LoadOptions& options)
    : preprocessing_(preprocessing),
      skip_bad_images_(options.skip_bad_images),
      normaliser_(preprocessing),
      cache_(
          dataset,
          [preprocessing, resolution = options.resolution](std::span<const std::byte> file, Pixels labels,
                                                           Identity* identity) {
            return prepare_evaluation(file, std::move(labels), preprocessing, resolution, identity);
          },
          options) {}

int LoadedImages::count() const {
  if (skip_bad_images_) cache_.finish();
  return cache_.count();
}

View<const float> LoadedImages::images(int first, int images) {
  require(first >= 0 && images >= 0 && first + images <= count(), "LoadedImages: positions outside of the data set");
  cache_.wait_for(first, images);
  batch_.resize(shape().with_batch(images));
  const auto per_image = static_cast<std::size_t>(shape().count());
  parallel_for(images, 1, [&](std::int64_t begin, std::int64_t end) {
    LabelledPixels scratch;
    for (std::int64_t i = begin; i < end; ++i) {
      const Pixels& pixels = cache_.image(first + static_cast<int>(i), scratch).image;
      normaliser_(pixels.span(), batch_.span().subspan(static_cast<std::size_t>(i) * per_image, per_image));
    }
  });
  return static_cast<const Tensor<float>&>(batch_).view();
}

const Pixels& LoadedImages::label_map(int image, LabelledPixels& scratch) {
  require(segmentation() && image >= 0 && image < count(), "LoadedImages: no label map at that position");
  cache_.wait_for(image, 1);
  return cache_.image(image, scratch).labels;
}

const Dataset& LoadedImages::dataset() {
  if (skip_bad_images_) cache_.finish();
  return cache_.dataset();
}

std::vector<int> LoadedImages::labels() {
  std::vector<int> labels;
  for (const DatasetItem& item : dataset().items) labels.push_back(item.label);
  return labels;
}

const std::vector<Identity>& LoadedImages::identities() {
  cache_.finish();
  return cache_.identities();
}

const std::vector<std::string>& LoadedImages::hashes() {
  cache_.finish();
  return cache_.hashes();
}

const std::vector<BadImage>& LoadedImages::bad() {
  cache_.finish();
  return cache_.bad();
}

TrainingLoader::TrainingLoader(const Dataset& dataset, const Preprocessing& preprocessing,
                               const Augmentation& augmentation, std::uint64_t seed, const LoadOptions& options)
    : preprocessing_(preprocessing),
      augmentation_(augmentation),
      seed_(seed),
      normaliser_(preprocessing),
      cache_(
          dataset,
          [preprocessing, augmentation](std::span<const std::byte> file, const Pixels& labels, Identity* identity) {
            return prepare_training(file, labels, preprocessing, augmentation, identity);
          },
          options) {
  cache_.finish();
  for (int i = 0; i < options.threads; ++i) threads_.emplace_back([this] { work(); });
}

TrainingLoader::~TrainingLoader() {
  {
    const std::scoped_lock lock(mutex_);
    stop_ = true;
  }
  wanted_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::vector<double> TrainingLoader::class_shares() const {
  require(dataset().segmentation(), "class_shares: images without label maps");
  using Counts = std::array<std::int64_t, 256>;
  std::vector<Counts> counts(static_cast<std::size_t>(count()));
  parallel_for(count(), 1, [&](std::int64_t begin, std::int64_t end) {
    LabelledPixels scratch;
    for (std::int64_t i = begin; i < end; ++i) {
      Counts& of_image = counts[static_cast<std::size_t>(i)];
      of_image = {};
      for (const std::uint8_t label : cache_.image(static_cast<int>(i), scratch).labels.span()) ++of_image[label];
    }
  });
  std::vector<double> shares(dataset().classes.size());
  double all = 0;
  for (std::size_t c = 0; c < shares.size(); ++c) {
    for (const Counts& of_image : counts) shares[c] += static_cast<double>(of_image[c]);
    all += shares[c];
  }
  for (double& share : shares) share /= std::max(1.0, all);
  return shares;
}

void TrainingLoader::start_epoch(int epoch, int batch, int first_batch) {
  require(batch >= 1 && first_batch >= 0, "TrainingLoader: batches of at least one image, counted from 0");
  std::unique_lock lock(mutex_);
  end_image_ = next_image_ = 0;  // nothing is handed out any more; what is in the making may end
  made_.wait(lock, [this] { return busy_ == 0; });
  window_.clear();
  order_.resize(static_cast<std::size_t>(count()));
  std::iota(order_.begin(), order_.end(), 0);
  Random(seed_, static_cast<std::uint64_t>(epoch)).shuffle(order_);
  epoch_ = epoch;
  batch_ = batch;
  first_batch_ = first_batch;
  next_image_ = first_batch * batch;
  end_image_ = count() / batch * batch;
  lock.unlock();
  wanted_.notify_all();
}

LabelledBatch TrainingLoader::next() {
  const auto begin = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  require((first_batch_ + 1) * batch_ <= end_image_, "TrainingLoader: next() beyond the end of the epoch");
  made_.wait(lock, [this] { return error_ || (!window_.empty() && window_.front()->missing == 0); });
  if (error_) std::rethrow_exception(error_);
  if (current_) spare_.push_back(std::move(current_));
  current_ = std::move(window_.front());
  window_.pop_front();
  ++first_batch_;
  lock.unlock();
  wanted_.notify_all();
  waited_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const Batch& ready = *current_;
  return {ready.images.view(), ready.labels.view()};
}

void TrainingLoader::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wanted_.wait(
        lock, [this] { return stop_ || (next_image_ < end_image_ && next_image_ / batch_ < first_batch_ + kAhead); });
    if (stop_) return;
    const int position = next_image_++, number = position / batch_;
    while (first_batch_ + static_cast<int>(window_.size()) <= number) {
      std::shared_ptr<Batch> fresh = spare_.empty() ? std::make_shared<Batch>() : std::move(spare_.back());
      if (!spare_.empty()) spare_.pop_back();
      fresh->images.resize(shape().with_batch(batch_));
      const bool dense = dataset().segmentation();
      fresh->labels.resize(Shape{batch_, dense ? shape().h : 1, dense ? shape().w : 1, 1});
      fresh->missing = batch_;
      window_.push_back(std::move(fresh));
    }
    const std::shared_ptr<Batch> batch = window_[static_cast<std::size_t>(number - first_batch_)];
    const int item = order_[static_cast<std::size_t>(position)], epoch = epoch_, slot = position % batch_;
    ++busy_;
    lock.unlock();
    std::exception_ptr error;
    try {
      make(item, epoch, *batch, slot);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    --busy_;
    --batch->missing;
    if (error && !error_) error_ = error;
    made_.notify_all();
  }
}

void TrainingLoader::make(int item, int epoch, Batch& batch, int slot) const {
  LabelledPixels scratch;
  const LabelledPixels& image = cache_.image(item, scratch);
  const Random random(mix_bits(seed_) + static_cast<std::uint64_t>(epoch), static_cast<std::uint64_t>(item));
  const auto write = [&](const Pixels& varied) {
    const auto per_image = static_cast<std::size_t>(varied.count());
    normaliser_(varied.span(), batch.images.span().subspan(static_cast<std::size_t>(slot) * per_image, per_image));
  };
  if (dataset().segmentation()) {
    const LabelledPixels varied = augment(image, preprocessing_, augmentation_, random);
    write(varied.image);
    std::copy_n(varied.labels.data(), varied.labels.count(), batch.labels.data() + slot * varied.labels.count());
    return;
  }
  Preprocessing preprocessing = preprocessing_;
  if (!augmentation_.random_crop) preprocessing.resize = Preprocessing::Resize::none;  // the cache is cropped already
  write(augment(image.image, preprocessing, augmentation_, random));
  batch.labels[slot] = static_cast<float>(cache_.dataset().items[static_cast<std::size_t>(item)].label);
}

}  // namespace binade
