// Every layout of every kind of data set, with images that the test writes, and every way they can be wrong.
#include "datasets/dataset.hpp"

#include <map>
#include <set>

#include "core/base/error.hpp"
#include "datasets/label_list.hpp"
#include "tests/datasets/fixture.hpp"
#include "tests/harness/paths.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;
using test::contains;
using test::message_of;
using test::TemporaryFolder;
using test::write_file;
using test::write_picture;

DatasetOptions imagenet(const fs::path& root) {
  return {.kind = "imagenet", .root = root};
}
DatasetOptions folder(const fs::path& root) {
  return {.kind = "folder", .root = root};
}

/// Opening reads no image, so empty files will do where only names matter.
void three_images(const fs::path& root) {
  write_file(root / "n01/b.JPEG", "");
  write_file(root / "n02/a.jpg", "");
  write_file(root / "n02/notes.txt", "not an image");
  write_file(root / "n02/.hidden.jpg", "");
  write_file(root / "n03/c.PNG", "");
}

TEST(Imagenet, TakesTheClassFromLabelsCsv) {
  const TemporaryFolder root;
  three_images(root / "val");
  write_file(root / "labels.csv",
             "file,wnid,class_index\nval/n01/b.JPEG,n01,7\nval/n02/a.jpg,n02,3\r\nval/n03/c.PNG,n03,0\n");
  const std::vector<DatasetItem> wanted{{"val/n01/b.JPEG", 7}, {"val/n02/a.jpg", 3}, {"val/n03/c.PNG", 0}};
  const Dataset dataset = open_dataset(imagenet(root.path()));
  EXPECT_EQ(dataset.items, wanted);
  ASSERT_EQ(dataset.classes.size(), 8U);
  EXPECT_EQ(dataset.classes[7], "n01");
  // The folder "val" itself may be given too, with or without a slash.
  for (const char* name : {"val", "val/"}) {
    const Dataset inner = open_dataset(imagenet(root / name));
    ASSERT_EQ(inner.items.size(), 3U);
    EXPECT_EQ(inner.items[0], (DatasetItem{"n01/b.JPEG", 7}));
    EXPECT_TRUE(fs::exists(inner.file(inner.items[0])));
  }
}

TEST(Imagenet, TakesTheClassFromSynsets) {
  const TemporaryFolder root;
  three_images(root.path());
  write_file(root / "synsets.txt", "5 n01 tench, Tinca tinca\n1 n02 goldfish\n\n9 n03\n");
  const Dataset dataset = open_dataset(imagenet(root.path()));
  const std::vector<DatasetItem> wanted{{"n01/b.JPEG", 5}, {"n02/a.jpg", 1}, {"n03/c.PNG", 9}};
  EXPECT_EQ(dataset.items, wanted);
  EXPECT_EQ(dataset.classes[5], "tench, Tinca tinca");
  EXPECT_EQ(dataset.classes[9], "n03");
}

TEST(Imagenet, PrefersLabelsCsvAndTakesWnidsFromSynsets) {
  const TemporaryFolder root;
  three_images(root / "val");
  write_file(root / "synsets.txt", "n03 three\nn02 two\nn01 one\n");  // by line number
  write_file(root / "val/labels.csv", "wnid,file\nn01,n01/b.JPEG\nn01,n02/a.jpg\nn03,n03/c.PNG\n");
  const Dataset dataset = open_dataset(imagenet(root.path()));
  const std::vector<DatasetItem> wanted{{"val/n01/b.JPEG", 2}, {"val/n02/a.jpg", 2}, {"val/n03/c.PNG", 0}};
  EXPECT_EQ(dataset.items, wanted);
}

TEST(Imagenet, OpensFlatFoldersWithALabelsFile) {
  const TemporaryFolder root;
  for (const char* name : {"x1.JPEG", "x2.JPEG", "x3.JPEG"}) write_file(root / name, "");
  EXPECT_TRUE(contains(message_of<DataError>([&] { open_dataset(imagenet(root.path())); }), "x2.JPEG"));
  write_file(root / "val.txt", "x1.JPEG 65\nx3.JPEG 2\nx2.JPEG 970\n");
  const std::vector<DatasetItem> wanted{{"x1.JPEG", 65}, {"x2.JPEG", 970}, {"x3.JPEG", 2}};
  EXPECT_EQ(open_dataset(imagenet(root.path())).items, wanted);
}

TEST(Imagenet, SortsAThousandWnidsAndNoFewer) {
  const TemporaryFolder root;
  for (int i = 0; i < 1000; ++i) write_file(root / fmt::format("n{:08d}/x.JPEG", 7 * i), "");
  const Dataset dataset = open_dataset(imagenet(root.path()));
  ASSERT_EQ(dataset.items.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(dataset.items[static_cast<std::size_t>(i)].label, i);
  fs::remove_all(root / "n00000007");
  const std::string message = message_of<DataError>([&] { open_dataset(imagenet(root.path())); });
  EXPECT_TRUE(contains(message, "999 class folders")) << message.substr(0, 300);
  EXPECT_TRUE(contains(message, "synsets.txt"));
}

TEST(Imagenet, NamesEveryDisagreementOfListAndFolder) {
  const TemporaryFolder root;
  three_images(root.path());
  write_file(root / "labels.csv", "file,wnid,class_index\nn01/b.JPEG,n01,0\n");
  std::string message = message_of<DataError>([&] { open_dataset(imagenet(root.path())); });
  EXPECT_TRUE(contains(message, "n02/a.jpg") && contains(message, "n03/c.PNG")) << message;
  write_file(root / "labels.csv",
             "file,class_index\nn01/b.JPEG,0\nn02/a.jpg,0\nn03/c.PNG,1\nn03/gone.JPEG,1\nn01/lost.JPEG,1\n");
  message = message_of<DataError>([&] { open_dataset(imagenet(root.path())); });
  EXPECT_TRUE(contains(message, "n03/gone.JPEG") && contains(message, "n01/lost.JPEG")) << message;
  fs::remove(root / "labels.csv");
  write_file(root / "synsets.txt", "0 n01\n");
  message = message_of<DataError>([&] { open_dataset(imagenet(root.path())); });
  EXPECT_TRUE(contains(message, "n02 (1 images)") && contains(message, "n03 (1 images)")) << message;
}

TEST(ClassList, NamesThatBeginWithDigitsAreNames) {
  const TemporaryFolder root;
  write_file(root / "classes.txt", "4x4\n8bit\n3d_printer\n2.5d\n");
  const ClassList classes = read_class_list(root / "classes.txt");
  EXPECT_EQ(classes.names, (std::vector<std::string>{"4x4", "8bit", "3d_printer", "2.5d"}));
  write_file(root / "classes.txt", "1 8bit\n0 4x4\n");
  EXPECT_EQ(read_class_list(root / "classes.txt").names, (std::vector<std::string>{"4x4", "8bit"}));
}

TEST(ClassList, IndicesThatAreNoneAreRefused) {
  const TemporaryFolder root;
  write_file(root / "classes.txt", "0 road\n-5 wall\n1048576 car\n99999999999999999999 sky\n+1 tree\n");
  const std::string message = message_of<DataError>([&] { read_class_list(root / "classes.txt"); });
  for (const char* part : {"line 2: '-5'", "line 3: '1048576'", "line 4: '99999999999999999999'", "line 5: '+1'"}) {
    EXPECT_TRUE(contains(message, part)) << part << " in " << message;
  }
  write_file(root / "labels.csv", "file,class_index\na.png,1048576\n");
  EXPECT_TRUE(contains(message_of<DataError>([&] { read_label_list(root / "labels.csv"); }), "1048576"));
}

TEST(Folders, LinksThatLeadInCirclesEnd) {
  const TemporaryFolder root;
  write_picture(root / "a/x.png", 4, 4, 1);
  fs::create_directory_symlink(root.path(), root / "a/up");
  fs::create_symlink("self", root / "a/self");
  const Dataset dataset = open_dataset({.kind = "images", .root = root.path()});
  ASSERT_EQ(dataset.items.size(), 1U);
  EXPECT_EQ(dataset.items[0].path, "a/x.png");
}

TEST(Imagenet, NamesEveryBadLineOfALabelList) {
  const TemporaryFolder root;
  const fs::path path = root / "labels.csv";
  write_file(path,
             "file,wnid,class_index\na.JPEG,n01,0\nb.JPEG,n01\nc.JPEG,n01,seven\nd.JPEG,n01,-1\n,n01,0\n"
             "a.JPEG,n01,0\ne.JPEG,n01,4\n");
  const std::string message = message_of<DataError>([&] { read_label_list(path); });
  for (const char* part :
       {"line 3: 2 columns, wanted 3", "line 4: class_index 'seven'", "line 5: class_index '-1'",
        "line 6: no file name", "line 7: 'a.JPEG' is there twice", "line 8: n01 is class 4 here and 0 above"}) {
    EXPECT_TRUE(contains(message, part)) << part << " in " << message;
  }
  EXPECT_FALSE(contains(message, "line 2"));
  write_file(path, "name,class\n");
  EXPECT_TRUE(contains(message_of<DataError>([&] { read_label_list(path); }), "file"));
  write_file(path, "file,wnid\n");
  EXPECT_TRUE(contains(message_of<DataError>([&] { read_label_list(path); }), "lists no image"));
  write_file(root / "synsets.txt", "0 n01\n1\n0 n02\n3 n01\n");
  const std::string classes = message_of<DataError>([&] { read_class_list(root / "synsets.txt"); });
  for (const char* part : {"line 2:", "line 3: index 0 is there twice", "line 4: 'n01' is there twice"}) {
    EXPECT_TRUE(contains(classes, part)) << part << " in " << classes;
  }
}

TEST(Imagenet, PrefersTheWantedSplit) {
  const TemporaryFolder root;
  write_file(root / "train/n01/t.JPEG", "");
  DatasetOptions options = imagenet(root.path());
  write_file(root / "synsets.txt", "0 n01\n");
  EXPECT_TRUE(contains(message_of<DataError>([&] { open_dataset(options); }), "none called 'val'"));
  write_file(root / "val/n01/v.JPEG", "");
  EXPECT_EQ(open_dataset(options).items[0].path, "val/n01/v.JPEG");
  options.split = "train";
  EXPECT_EQ(open_dataset(options).items[0].path, "train/n01/t.JPEG");
  fs::remove_all(root / "train");
  EXPECT_EQ(open_dataset(options).items[0].path, "val/n01/v.JPEG");
}

TEST(Folder, OrdersClassesByNameOrByList) {
  const TemporaryFolder root;
  for (const char* name : {"truck/1.png", "cat/2.png", "airplane/3.png"}) write_file(root / name, "");
  const std::vector<DatasetItem> by_name{{"airplane/3.png", 0}, {"cat/2.png", 1}, {"truck/1.png", 2}};
  EXPECT_EQ(open_dataset(folder(root.path())).items, by_name);
  write_file(root / "classes.txt", "0 truck\n1 cat\n2 airplane\n3 ship\n");
  const std::vector<DatasetItem> by_list{{"airplane/3.png", 2}, {"cat/2.png", 1}, {"truck/1.png", 0}};
  const Dataset dataset = open_dataset(folder(root.path()));
  EXPECT_EQ(dataset.items, by_list);
  EXPECT_EQ(dataset.classes, (std::vector<std::string>{"truck", "cat", "airplane", "ship"}));
  write_file(root / "classes.txt", "0 truck\n");
  const std::string message = message_of<DataError>([&] { open_dataset(folder(root.path())); });
  EXPECT_TRUE(contains(message, "airplane (1 images)") && contains(message, "cat (1 images)")) << message;
  fs::remove(root / "classes.txt");
  write_file(root / "stray.jpg", "");
  EXPECT_TRUE(contains(message_of<DataError>([&] { open_dataset(folder(root.path())); }), "stray.jpg"));
}

TEST(Folder, TellsASplitFromAClassOfThatName) {
  const TemporaryFolder root;
  write_file(root / "train/1.png", "");  // the vehicle
  write_file(root / "plane/2.png", "");
  EXPECT_EQ(open_dataset(folder(root.path())).items.size(), 2U);
  const fs::path split = root / "split";
  write_file(split / "train/cat/1.png", "");
  write_file(split / "val/dog/2.png", "");
  write_file(split / "val/cat/2.png", "");
  write_file(split / "classes.txt", "0 dog\n1 cat\n");
  EXPECT_EQ(open_dataset(folder(split)).items[0], (DatasetItem{"val/cat/2.png", 1}));
  EXPECT_EQ(open_dataset(folder(split / "val")).items[1], (DatasetItem{"dog/2.png", 0}));
}

TEST(Dataset, RefusesWhatIsNotThere) {
  const TemporaryFolder root;
  EXPECT_TRUE(contains(message_of<UsageError>([&] { open_dataset({.kind = "imagnet", .root = root.path()}); }),
                       "did you mean 'imagenet'"));
  for (const DatasetEntry& entry : dataset_kinds()) {
    DatasetOptions options{.kind = std::string(entry.name), .root = root / "missing"};
    EXPECT_TRUE(contains(message_of<DataError>([&] { open_dataset(options); }), "there is no folder"));
    write_file(root / "file", "");
    options.root = root / "file";
    EXPECT_TRUE(contains(message_of<DataError>([&] { open_dataset(options); }), "is a file"));
    options.root = root / "empty";
    fs::create_directories(options.root / "n01");
    EXPECT_TRUE(contains(message_of<DataError>([&] { open_dataset(options); }), options.root.string()));
  }
  EXPECT_TRUE(contains(message_of<DataError>([&] { open_dataset(imagenet(root / "empty")); }), "no images in"));
}

TEST(Dataset, NamesEveryLabelOutsideTheClasses) {
  Dataset dataset{"folder", "/photos", {{"a.png", 0}, {"b.png", 10}, {"c.png", 9}, {"d.png", -1}}, {}};
  const std::string message = message_of<DataError>([&] { check_labels(dataset, 10); });
  EXPECT_TRUE(contains(message, "b.png: label 10") && contains(message, "d.png: label -1")) << message;
  EXPECT_FALSE(contains(message, "c.png"));
  EXPECT_NO_THROW(check_labels({"folder", "/photos", {{"a.png", 9}}, {}}, 10));
}

Dataset many(int classes, int per_class) {
  Dataset dataset{"folder", "/photos", {}, {}};
  for (int c = 0; c < classes; ++c) {
    for (int i = 0; i < per_class * (c + 1); ++i) dataset.items.push_back({fmt::format("{}/{:04d}.png", c, i), c});
  }
  return dataset;
}

TEST(ChooseImages, IsStratifiedNestedAndFixedBySeed) {
  const Dataset all = many(5, 20);  // 20, 40, 60, 80, 100 images
  for (const int n : {1, 7, 30, 150, 300}) {
    const Dataset chosen = choose_images(all, n, 3);
    std::map<int, int> counts;
    std::set<std::string> paths;
    for (const DatasetItem& item : chosen.items) {
      ++counts[item.label];
      paths.insert(item.path);
    }
    EXPECT_EQ(paths.size(), static_cast<std::size_t>(n));
    for (int c = 0; c < 5; ++c) EXPECT_NEAR(counts[c], n * (c + 1) / 15.0, 1.0) << "class " << c << " of " << n;
  }
  const Dataset small = choose_images(all, 30, 3), large = choose_images(all, 31, 3);
  EXPECT_TRUE(std::equal(small.items.begin(), small.items.end(), large.items.begin()));
  EXPECT_NE(choose_images(all, 30, 4).items, small.items);
}

TEST(ChooseImages, DoesNotDependOnTheOrderOfTheFolder) {
  Dataset all = many(4, 10), turned = all;
  std::reverse(turned.items.begin(), turned.items.end());
  EXPECT_EQ(choose_images(all, 25, 1).items, choose_images(turned, 25, 1).items);
  EXPECT_THROW(choose_images(all, 101, 1), UsageError);
  EXPECT_EQ(choose_images(all, 100, 1).items.size(), 100U);
}

TEST(RealData, ImagenetVal650AgreesWithItsList) {
  const fs::path root = testing_tools::shared_data() / "imagenet-val650";
  if (!fs::exists(root)) GTEST_SKIP() << root << " is not there";
  const Dataset dataset = open_dataset(imagenet(root));
  ASSERT_EQ(dataset.items.size(), 650U);
  EXPECT_NO_THROW(check_labels(dataset, 1000));
  std::map<std::string, int> listed;
  std::ifstream file(root / "labels.csv");
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) listed[line.substr(0, line.find(','))] = std::stoi(line.substr(line.rfind(',') + 1));
  ASSERT_EQ(listed.size(), 650U);
  for (const DatasetItem& item : dataset.items) EXPECT_EQ(listed.at(item.path), item.label) << item.path;

  // The sample has a synsets.txt: the same wnid must be the same class in both.
  std::map<std::string, int> sample;
  for (const DatasetItem& item : open_dataset(imagenet(root.parent_path() / "imagenet-sample")).items) {
    sample[fs::path(item.path).parent_path().filename()] = item.label;
  }
  ASSERT_EQ(sample.size(), 1000U);
  for (const DatasetItem& item : dataset.items) {
    EXPECT_EQ(sample.at(fs::path(item.path).parent_path().filename()), item.label) << item.path;
  }
}

TEST(RealData, CifarFoldersAreInListedOrder) {
  const fs::path root = testing_tools::shared_data() / "cifar10-test";
  if (!fs::exists(root)) GTEST_SKIP() << root << " is not there";
  const Dataset dataset = open_dataset(folder(root));
  EXPECT_EQ(dataset.items.size(), 2000U);
  EXPECT_EQ(dataset.classes[0], "airplane");
  EXPECT_EQ(dataset.classes[9], "truck");
}

}  // namespace
}  // namespace binade
