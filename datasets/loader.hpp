// Images on their way from files to batches: a decoded cache filled by loader threads, and the two sources above it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/model/image_source.hpp"
#include "core/model/training_source.hpp"
#include "datasets/dataset.hpp"
#include "datasets/label_map.hpp"
#include "datasets/transforms.hpp"

namespace binade {

struct LoadOptions {
  int threads = 2;               ///< that read and decode; their own, beside the pool of parallel_for
  bool skip_bad_images = false;  ///< leave them out and list them in bad(), instead of an error that lists them
  /// Decoded bytes kept in memory; what does not fit is decoded again at every access. 0: half of the free memory, at
  /// most 8 GiB.
  std::size_t cache_bytes = 0;
  /// Segmentation: which pixels an evaluation counts: those of the label maps as stored, or those of the network's
  /// input.
  enum class Resolution : std::uint8_t { labels, network } resolution = Resolution::labels;
};

/// An image that could not be used, and why.
struct BadImage {
  std::string path, reason;
  friend bool operator==(const BadImage&, const BadImage&) = default;
};

/// Reads every file of a data set once: SHA-256 of its bytes, and its pixels as `prepare` makes them, with those of its
/// label map where there is one. Begins at once, in the order of the items, in threads of its own.
class ImageCache {
 public:
  /// `labels`, what the label map's file holds as classes, is empty for a classification.
  /// `identity` is that of the decoded image, or null where it is known already.
  using Prepare = std::function<LabelledPixels(std::span<const std::byte> file, Pixels labels, Identity* identity)>;

  ImageCache(Dataset dataset, Prepare prepare, const LoadOptions& options);
  ~ImageCache();
  ImageCache(const ImageCache&) = delete;
  ImageCache& operator=(const ImageCache&) = delete;

  /// Waits until all files are read; then bad images are an error, or leave the lists below.
  /// @throws DataError naming every bad image and its reason
  void finish();
  /// Waits for the items [first, first + count) only; an error as finish() if one of them is bad.
  /// With skip_bad_images positions are known only at the end, so it is finish().
  void wait_for(int first, int count);

  /// Without skip_bad_images at any time, else after finish().
  const Dataset& dataset() const { return dataset_; }
  int count() const { return static_cast<int>(dataset_.items.size()); }
  /// After wait_for the item. Uncached images are read again into `scratch`. May be called by several threads.
  const LabelledPixels& image(int item, LabelledPixels& scratch) const;
  /// 64 hex digits per item, of the images without their label maps, and the bad ones in item order. After finish().
  const std::vector<std::string>& hashes() const { return hashes_; }
  const std::vector<BadImage>& bad() const { return bad_; }
  /// Of the decoded images, as hashes().
  const std::vector<Identity>& identities() const { return identities_; }

 private:
  struct Slot {
    LabelledPixels pixels;  ///< empty: not cached
    std::string hash, bad;  ///< `bad`: the reason
    Identity identity;
    bool done = false;
  };
  void work();
  void load(std::size_t item);
  LabelledPixels prepare(const DatasetItem& item, std::span<const std::byte> file, Identity* identity) const;

  Dataset dataset_;
  Prepare prepare_;
  bool skip_bad_images_;
  std::size_t budget_bytes_;
  std::vector<Slot> slots_;
  std::vector<std::string> hashes_;
  std::vector<Identity> identities_;
  std::vector<BadImage> bad_;
  bool finished_ = false;

  std::mutex mutex_;
  std::condition_variable loaded_;
  std::size_t next_ = 0;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

/// Evaluation's images, resized and cropped, by position: several networks may read them, each file is decoded once.
class LoadedImages final : public ImageSource {
 public:
  LoadedImages(const Dataset& dataset, const Preprocessing& preprocessing, const LoadOptions& options = {});

  int count() const override;
  Shape shape() const override { return input_shape(preprocessing_); }
  /// Decoding of later images goes on meanwhile. @throws DataError naming every bad image
  View<const float> images(int first, int images) override;
  /// The classes {1, h, w, 1} of an image's pixels at the resolution of the options; waits for it. `scratch` is used
  /// where it is not cached.
  const Pixels& label_map(int image, LabelledPixels& scratch);
  /// True for images with label maps.
  bool segmentation() const { return cache_.dataset().segmentation(); }

  /// With skip_bad_images they wait for all files, to know which are left.
  const Dataset& dataset();
  std::vector<int> labels();
  /// These wait for all files. @throws DataError naming every bad image
  const std::vector<std::string>& hashes();
  const std::vector<Identity>& identities();
  const std::vector<BadImage>& bad();

 private:
  Preprocessing preprocessing_;
  bool skip_bad_images_;
  Normaliser normaliser_;
  mutable ImageCache cache_;
  Tensor<float> batch_;
};

/// Training's batches: shuffled by (seed, epoch), augmented by (seed, epoch, item), made ahead of time by loader
/// threads. Neither threads nor the batch an epoch is entered at change what a position holds.
class TrainingLoader final : public TrainingSource {
 public:
  /// Reads every image once before it returns. @throws DataError naming every bad image
  TrainingLoader(const Dataset& dataset, const Preprocessing& preprocessing, const Augmentation& augmentation,
                 std::uint64_t seed, const LoadOptions& options = {});
  ~TrainingLoader() override;
  TrainingLoader(const TrainingLoader&) = delete;
  TrainingLoader& operator=(const TrainingLoader&) = delete;

  int count() const override { return cache_.count(); }
  Shape shape() const override { return input_shape(preprocessing_); }
  void start_epoch(int epoch, int batch, int first_batch = 0) override;
  LabelledBatch next() override;

  const Dataset& dataset() const { return cache_.dataset(); }
  const std::vector<std::string>& hashes() const { return cache_.hashes(); }
  const std::vector<Identity>& identities() const { return cache_.identities(); }
  const std::vector<BadImage>& bad() const { return cache_.bad(); }
  /// Segmentation: the part that each class has of all labelled pixels, before augmentation.
  std::vector<double> class_shares() const;
  /// Seconds that next() has waited for the loader threads: near zero when loading is not the bottleneck.
  double waited_seconds() const { return waited_seconds_; }

 private:
  struct Batch {
    Tensor<float> images, labels;
    int missing = 0;  ///< images not yet made
  };
  void work();
  void make(int item, int epoch, Batch& batch, int slot) const;

  Preprocessing preprocessing_;
  Augmentation augmentation_;
  std::uint64_t seed_;
  Normaliser normaliser_;
  ImageCache cache_;
  double waited_seconds_ = 0;

  // Guarded by mutex_. Images are handed out one by one in the epoch's order; those of at most kAhead batches beyond
  // the one being read are in the making.
  static constexpr int kAhead = 3;
  std::mutex mutex_;
  std::condition_variable wanted_, made_;
  std::vector<int> order_;
  int epoch_ = 0, batch_ = 1;
  int first_batch_ = 0;  ///< number of the front of window_
  int next_image_ = 0, end_image_ = 0;
  std::deque<std::shared_ptr<Batch>> window_;
  std::shared_ptr<Batch> current_;             ///< what the last next() returned
  std::vector<std::shared_ptr<Batch>> spare_;  ///< memory for later batches
  int busy_ = 0;                               ///< threads inside make()
  bool stop_ = false;
  std::exception_ptr error_;  ///< of a file that could be read before and cannot any more
  std::vector<std::thread> threads_;
};

/// All bytes of a file. @throws DataError if it cannot be read
std::vector<std::byte> read_file(const std::filesystem::path& path);

}  // namespace binade
