// Names, help and choices of all options.
#include "cli/bind.hpp"

#include "calibration/estimators/estimators.hpp"
#include "core/model/model.hpp"
#include "core/report/table.hpp"
#include "datasets/dataset.hpp"
#include "ptq/pass.hpp"

namespace binade {
namespace {

std::vector<std::string> words_of(std::string_view key) {
  const auto words = preprocessing_words(key);
  return {words.begin(), words.end()};
}

}  // namespace

void bind(Flags& flags, NetworkSource& network) {
  const std::string unset = "as the model says";
  flags.section("Network");
  flags.add("model", network.model,
            "an .onnx file, a checkpoint (.h5) or a name of the zoo (binade inspect --model all)");
  flags.add("output", network.output, "which output is the network's, where a file has several",
            {.when_unset = "the only one"});
  flags.add("class-offset", network.class_offset,
            "outputs before that of class 0, which are left out: 1 where a background class comes first; auto: as the "
            "file's metadata say");
  flags.add("input-size", network.input_size,
            "pixels, where a file leaves them open or for a network of the zoo: 224, or height x width such as 360x480",
            {.when_unset = "as the model says"});
  flags.add("weights", network.weights, "a network (.onnx, .h5) that has the same layers: the model takes its weights",
            {.when_unset = "its own"});
  flags.add("weights-map", network.weights_map,
            "which layer takes from which: the one of that name, or the next; auto: by name if all names are there",
            {.choices = {"auto", "name", "order"}});
  flags.add("weights-names", network.weights_names,
            "a text file for that: a layer's name here and there per line, where they differ", {.when_unset = "none"});
  flags.add("weights-part", network.weights_part,
            "encoder: all layers but the decoder, or but the last; those keep what they have",
            {.choices = {"all", "encoder"}});
  flags.add("preprocessing.resize", network.resize, "how an image becomes the size of the input",
            {.choices = words_of("resize"), .when_unset = unset});
  flags.add("preprocessing.size", network.size, "of the short side after resizing, pixels", {.when_unset = unset});
  flags.add("preprocessing.interpolation", network.interpolation, "when enlarging; shrinking always averages",
            {.choices = words_of("interpolation"), .when_unset = unset});
  flags.add("preprocessing.color", network.color, "order of channels",
            {.choices = words_of("color"), .when_unset = unset});
  flags.add("preprocessing.mean", network.mean, "subtracted from 0..255: one number, or three with commas",
            {.when_unset = unset});
  flags.add("preprocessing.scale", network.scale, "then multiplied: one number, or three with commas",
            {.when_unset = unset});
  flags.add("mean01", network.mean01, "torchvision's mean, of pixels of 0..1: one number, or three with commas",
            {.when_unset = unset});
  flags.add("std01", network.std01, "torchvision's standard deviation, of pixels of 0..1", {.when_unset = unset});
}

void bind_evaluation(Flags& flags, DataSource& data) {
  flags.section("Images");
  flags.add("dataset", data.dataset.kind, "layout of the folder", {.choices = names_of(dataset_kinds())});
  flags.add("data", data.data, "folder of the evaluation images; `generated` makes them there when it is missing");
  flags.add("images", data.images, "how many, chosen by the seed; 0: all");
  flags.add("skip-bad-images", data.skip_bad_images,
            "leave images out that cannot be read, and list them, instead of an error");
  flags.add("allow-outside", data.dataset.allow_outside, "lists of images may name files outside of the folder");
  flags.add("resolution", data.resolution,
            "segmentation: the pixels that count are those of the label maps, to which scores are stretched, or those "
            "of the network's input",
            {.choices = {"labels", "network"}});
  flags.add("bootstrap-block", data.bootstrap_block,
            "segmentation: frames of a video that intervals take as one; 1: every image by itself; 0: ten where names "
            "number the frames, fewer where that leaves less than eight blocks");
  flags.add("overlays", data.overlays,
            "segmentation: so many pictures per method in OUT/overlays: image, labels, predictions");
  flags.add("allow-leakage", data.allow_leakage,
            "evaluate on images that calibration or training sees, too; the table then says so");
  flags.add("seed", data.seed, "of every choice that is made at random");
  flags.add("generated.classes", data.dataset.generated.classes, "of the generated set, when it is made");
  flags.add("generated.train", data.dataset.generated.train, "training images in all");
  flags.add("generated.val", data.dataset.generated.val, "evaluation images in all");
  flags.add("generated.size", data.dataset.generated.size, "pixels, square");
  flags.add("generated.seed", data.dataset.generated.seed, "of the drawing");
  flags.add("generated.difficulty", data.dataset.generated.difficulty, "0: clean; 1: a small network ends near 90 %");
  flags.add("generated.png", data.dataset.generated.png, "lossless files instead of JPEG");
  flags.add("streets.train", data.dataset.streets.train, "training scenes of generated-streets, when it is made");
  flags.add("streets.val", data.dataset.streets.val, "evaluation scenes");
  flags.add("streets.height", data.dataset.streets.height, "pixels");
  flags.add("streets.width", data.dataset.streets.width, "pixels");
  flags.add("streets.seed", data.dataset.streets.seed, "of the drawing");
  flags.add("streets.difficulty", data.dataset.streets.difficulty, "0: clean colours; 1: some noise and light");
}

void bind_calibration(Flags& flags, DataSource& data) {
  flags.add("calibration-data", data.calibration_data, "folder of the images to calibrate on, in the same layout",
            {.when_unset = "train/ below --data"});
  flags.add("calibration-images", data.calibration_images, "how many, chosen by the seed; 0: all");
}

void bind(Flags& flags, OutputFlags& output) {
  flags.section("Output");
  flags.add("out", output.out, "folder for reports and predictions; created, and left alone if it holds anything");
  flags.add("force", output.force, "overwrite what is in --out");
  flags.add("format", output.format, "of what is printed", {.choices = names_of(formats())});
}

void bind(Flags& flags, PtqOptions& options) {
  const std::string unset = "as the preset says";
  std::vector<std::string> ranges = names_of(estimator_table());
  ranges.emplace_back("exponent_search");
  const std::vector<std::string> roundings(kRoundingNames.begin(), kRoundingNames.end());
  flags.section("Post-training quantization");
  flags.add("ptq.range", options.range, "how the range of an activation is chosen",
            {.choices = ranges, .when_unset = unset});
  flags.add("ptq.weight-range", options.weight_range, "how the range of weights is chosen",
            {.choices = ranges, .when_unset = unset});
  flags.add("ptq.percentile", options.percentile, "percent cut at each tail by the range `percentile`",
            {.when_unset = unset});
  flags.add("ptq.headroom-bits", options.headroom_bits, "how often the chosen ranges of activations are doubled",
            {.when_unset = unset});
  flags.add("ptq.bias-bits", options.bias_bits, "width of biases: 32, 16 or 8", {.when_unset = unset});
  flags.add("ptq.passes", options.passes, "in the order in which they run",
            {.choices = names_of(pass_table()), .when_unset = unset});
  flags.add("ptq.ridge", options.ridge, "round_weights: weight of staying near the float weights; 0: chosen per layer",
            {.when_unset = unset});
  flags.add("ptq.damping", options.damping, "round_weights: added to the diagonal of the normal equations",
            {.when_unset = unset});
  flags.add("ptq.weight-rounding", options.weight_rounding, "of weights", {.choices = roundings, .when_unset = unset});
  flags.add("ptq.activation-rounding", options.activation_rounding, "of activations",
            {.choices = roundings, .when_unset = unset});
  flags.add("ptq.batch", options.batch, "images per step of a pass", {.when_unset = unset});
}

void bind(Flags& flags, TrainSettings& train) {
  TrainOptions& options = train.options;
  flags.section("Training");
  flags.add("training-data", train.training_data, "folder of the training images, in the same layout",
            {.when_unset = "train/ below --data"});
  flags.add("width", train.width, "factor on the channels of a network of the zoo");
  flags.add("classes", train.classes, "of a network of the zoo; 0: as many as the data has");
  flags.add("train.epochs", options.epochs, "how often every image is seen");
  flags.add("train.batch", options.batch, "images per step");
  flags.add("train.learning-rate", options.schedule.learning_rate, "at its peak");
  flags.add("train.schedule", options.schedule.name, "of the learning rate", {.choices = names_of(schedule_table())});
  flags.add("train.warmup-epochs", options.schedule.warmup_epochs, "of a straight line up to the peak");
  flags.add("train.final-factor", options.schedule.final_factor, "cosine: part of the peak that remains at the end");
  flags.add("train.step-epochs", options.schedule.step_epochs, "step: epochs between two drops");
  flags.add("train.step-factor", options.schedule.step_factor, "step: what is left after a drop");
  flags.add("train.optimizer", options.update.optimizer.name, "update rule", {.choices = names_of(optimizer_table())});
  flags.add("train.momentum", options.update.optimizer.momentum, "of SGD");
  flags.add("train.nesterov", options.update.optimizer.nesterov, "Nesterov's momentum");
  flags.add("train.weight-decay", options.update.weight_decay, "times the weight, added to its gradient");
  flags.add("train.decay-everything", options.update.decay_everything, "biases and batch norm, too");
  flags.add("train.label-smoothing", options.loss.label_smoothing,
            "part of the target that is spread over all classes");
  flags.add("train.class-weights", train.class_weights,
            "segmentation: rare classes count more: 1 / log(1.02 + part of the pixels) (ENet), or median part / part",
            {.choices = {"none", "log", "median"}});
  flags.add("train.gradient-clip", options.gradient_clip, "largest 2-norm of all gradients; 0: no limit");
  flags.add("train.validate-epochs", options.validate_epochs, "epochs between two validations");
  bind(flags, train.augmentation);
}

void bind(Flags& flags, Augmentation& augmentation) {
  flags.add("augment.random-crop", augmentation.random_crop, "a random part of the image instead of its centre");
  flags.add("augment.area-min", augmentation.area_min, "least part of the image's area");
  flags.add("augment.area-max", augmentation.area_max, "largest part of the image's area");
  flags.add("augment.flip", augmentation.flip, "left and right, every second time");
  flags.add("augment.scale-min", augmentation.scale_min, "segmentation: least factor on the image's size");
  flags.add("augment.scale-max", augmentation.scale_max, "segmentation: largest factor");
  flags.add("augment.rotation", augmentation.rotation, "segmentation: degrees to either side at most");
}

void bind(Flags& flags, QatOptions& options) {
  const std::string unset = "as the preset says";
  const auto add = [&](const std::string& name, auto& variable, const std::string& help,
                       std::vector<std::string> choices = {}) {
    flags.add("qat." + name, variable, help, {.choices = std::move(choices), .when_unset = unset});
  };
  TrainOptions& train = options.train;
  UpdateOptions& update = train.update;
  add("quantizer", options.graph.quantizer, "how grids are found during training", names_of(quantizer_kinds()));
  add("clipped", options.graph.clipped, "no gradient beyond the range; false: straight through everywhere");
  add("merge", options.graph.merge,
      "TI's batch norm in training: batch statistics in a float path that carries the gradient; else folded first");
  add("snap", options.graph.snap, "weights begin on the codes of their grids");
  add("reestimate-batches", options.reestimate_batches,
      "merge: batches whose statistics replace the running ones at the end; 0: none");
  add("epochs", train.epochs, "how often every image is seen");
  add("batch", train.batch, "images per step");
  add("learning-rate", train.schedule.learning_rate, "of weights and biases, at its peak");
  add("rate-in-codes", options.rate_in_codes,
      "the learning rate counts in steps of the grids of weights, and of what is behind biases");
  add("threshold-learning-rate", options.threshold_learning_rate, "of what quantizers learn, at its peak");
  add("schedule", train.schedule.name, "of the learning rates", names_of(schedule_table()));
  add("warmup-epochs", train.schedule.warmup_epochs, "of a straight line up to the peak");
  add("final-factor", train.schedule.final_factor, "cosine: part of the peak that remains at the end");
  add("optimizer", update.optimizer.name, "update rule of weights and biases", names_of(optimizer_table()));
  add("momentum", update.optimizer.momentum, "of SGD");
  add("threshold-optimizer", update.threshold_optimizer.name, "update rule of what quantizers learn",
      names_of(optimizer_table()));
  add("weight-decay", update.weight_decay, "times the weight, added to its gradient");
  add("decay-everything", update.decay_everything, "biases and batch norm, too");
  add("threshold-decay", update.threshold_decay, "the same of what quantizers learn: PACT's regulariser");
  add("gradient-clip", train.gradient_clip, "largest 2-norm of all gradients; 0: no limit");
  add("labels", train.loss.labels, "learn from labels");
  add("label-smoothing", train.loss.label_smoothing, "part of the target that is spread over all classes");
  add("distillation", train.loss.distillation, "weight of learning from the float network; 0: not");
  add("temperature", train.loss.temperature, "of the softmax whose probabilities it teaches");
  add("validate-epochs", train.validate_epochs, "epochs between two validations; 0: none before the end");
  add("log-steps", train.log_steps, "steps per row of metrics.csv");
  add("checkpoint-steps", train.checkpoint_steps, "steps between two checkpoints; 0: one per epoch");
  add("loss-jump", train.loss_jump, "so many times the least loss means divergence; 0: only NaN does");
  add("sample-steps", options.watch.sample_steps, "steps between two samples in telemetry.csv; 0: none");
  add("bias-write-back-step", options.watch.bias_write_back_step,
      "TI: the step before which biases are set to their codes, once; -1: never");
  add("uncap-relu", options.graph.uncap_relu, "TI: ReLU6 becomes ReLU, bounded by the end of its grid only");
  add("hold-flips", options.watch.hold_flips, "tqt: changes of an exponent in 100 steps that hold it; 0: never");
  add("hold-margin", options.watch.hold_margin, "tqt: how far outside of its interval a held threshold is released");
  add("freeze-above", options.watch.oscillation.freeze_above,
      "frequency of oscillation from which a weight is held; 0: never");
  add("release-below", options.watch.oscillation.release_below, "frequency at which it is released");
}

void bind(Flags& flags, QatSettings& qat, QatOptions& options) {
  flags.section("Quantization-aware training");
  flags.add("training-data", qat.training_data, "folder of the training images, in the same layout",
            {.when_unset = "train/ below --data"});
  flags.add("training-dataset", qat.training_dataset,
            "layout of that folder; `images`, without labels, is enough for qat.labels = false",
            {.choices = names_of(dataset_kinds()), .when_unset = "as --dataset"});
  flags.add("qat.training-images", qat.training_images, "how many, chosen by the seed; 0: all");
  flags.add("qat.start", qat.start, "preset of the post-training quantization that it starts from",
            {.choices = names_of(ptq_presets()), .when_unset = "as the preset says"});
  bind(flags, options);
  bind(flags, qat.augmentation);
}

void bind(Flags& flags, CalibrateOptions& options) {
  flags.section("Calibration");
  const auto add = [&](const std::string& name, auto& variable, const std::string& help,
                       std::vector<std::string> choices = {}) {
    flags.add("calibrate." + name, variable, help, {.choices = std::move(choices), .when_unset = "as the preset says"});
  };
  std::vector<std::string> ranges = names_of(estimator_table());
  ranges.emplace_back("least_noise");
  std::vector<std::string> activation_ranges = ranges;
  activation_ranges.emplace_back("running");
  add("rescale", options.rescale, "scale channels first, for the least estimated noise at the output");
  add("range", options.range, "how the range of an activation is chosen; running: TI's average over batches",
      activation_ranges);
  add("weight-range", options.weight_range, "how the range of weights is chosen", ranges);
  add("percentile", options.percentile, "percent cut at each tail by the ranges `running` and `percentile`");
  add("headroom-bits", options.headroom_bits, "how often the chosen ranges of activations are doubled");
  add("bias-bits", options.bias_bits, "width of biases: 32, 16 or 8");
  add("uncap-relu", options.uncap_relu, "TI: ReLU6 becomes ReLU, bounded by the end of its grid only");
  add("clamp-weights", options.clamp_weights, "TI: clamp weights that are 16 times their median");
  add("per-channel-depthwise", options.per_channel_depthwise,
      "a grid per channel for depthwise weights; they are kept on one grid with 8 bits more for the whole tensor, "
      "which "
      "holds the same numbers");
  add("round-weights", options.round_weights,
      "round weights layer by layer for the float network's outputs on some of the images");
  add("factor", options.factor, "part of the difference of means by which a step changes a bias; 0: no correction");
  add("decay", options.decay, "the k-th step corrects by factor / k");
  add("weight-factor", options.weight_factor,
      "exponent of the ratio of deviations by which a step scales the weights of a channel; 0: not");
  add("batch", options.batch, "images per step");
  add("iterations", options.iterations, "steps, over the images as often as it takes; 0: each image once");
  add("tolerance", options.tolerance,
      "stop when a step changes the biases of every layer by less than that part of the layer's deviation");
}

void bind_layer_bits(Flags& flags, std::vector<std::string>& layers) {
  flags.add("layer-bits", layers,
            "layers with another width, of their weights and of what they read: NAME=BITS,... (names as inspect prints "
            "them, or first and last; behind the last, of the result, too)");
}

}  // namespace binade
