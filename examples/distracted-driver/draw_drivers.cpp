// draw-drivers: photograph-like pictures of drivers who drive, telephone, drink, .. in the layout of the State Farm set, so that
// the example needs no download: train/c0 .. c9, validation/c0 .. c9 with other drivers, unlabelled/ with still others, and
// drivers.csv.
#include "scene.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include <jpeglib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

namespace {

std::string encode_jpeg(const Photograph &photograph) {
    jpeg_compress_struct info;
    jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);  // ends the program; encoding into memory fails only without any
    jpeg_create_compress(&info);
    unsigned char *buffer = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&info, &buffer, &size);
    info.image_width = JDIMENSION(photograph.width);
    info.image_height = JDIMENSION(photograph.height);
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, 90, TRUE);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        auto *row = const_cast<uint8_t *>(photograph.rgb.data()) + size_t(info.next_scanline) * size_t(photograph.width) * 3;
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    std::string file(reinterpret_cast<char *>(buffer), size);
    std::free(buffer);
    return file;
}

struct Set {
    const char *name;
    bool has_classes;
    int first_driver, drivers, pictures;
};

struct Size {
    int width = 80, height = 60;
};

void write_set(const std::filesystem::path &folder, const Set &set, uint64_t seed, Size size, std::ofstream &drivers) {
    for (int i = 0; i < set.pictures; ++i) {
        int action = i % kClasses, number = set.first_driver + i / kClasses % set.drivers;
        uint64_t index = uint64_t(set.first_driver) << 32 | uint64_t(i);
        Photograph photograph =
            draw(action, Driver(Random(seed, 0, uint64_t(number))), Random(seed, 1, index), size.width, size.height);
        std::string class_name = "c" + std::to_string(action);
        char name[32];
        std::snprintf(name, sizeof name, "img_%03d%05d.jpg", set.first_driver, i);
        std::filesystem::path place = folder / set.name;
        if (set.has_classes) place /= class_name;
        std::filesystem::create_directories(place);
        std::ofstream file(place / name, std::ios::binary);
        file << encode_jpeg(photograph);
        if (!file.flush()) throw std::runtime_error("cannot write " + (place / name).string());
        char driver[16];
        std::snprintf(driver, sizeof driver, "p%03d", number);
        if (set.has_classes) drivers << set.name << ',' << driver << ',' << class_name << ',' << name << '\n';
    }
}

}  // namespace

int main(int argc, char **argv) {
    CLI::App app{"Draws photograph-like pictures of drivers at the wheel, as JPEG files in a folder for each of ten classes."};
    std::string folder;
    uint64_t seed = 1;
    int train = 1500, validation = 500, unlabelled = 500;
    Size size;
    app.add_option("folder", folder, "write train/, validation/, unlabelled/ and drivers.csv here")->required();
    app.add_option("--train", train, "pictures to train on, of 17 drivers")->check(CLI::NonNegativeNumber)->capture_default_str();
    app.add_option("--validation", validation, "pictures of 4 others to validate on")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--unlabelled", unlabelled, "pictures of 5 others, without classes")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--width", size.width, "pixels")->check(CLI::Range(8, 4096))->capture_default_str();
    app.add_option("--height", size.height, "pixels")->check(CLI::Range(8, 4096))->capture_default_str();
    app.add_option("--seed", seed, "every picture is a function of it")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        std::filesystem::create_directories(folder);
        std::ofstream drivers(std::filesystem::path(folder) / "drivers.csv");
        drivers << "split,subject,class,image\n";
        for (const Set &set : {Set{"train", true, 0, 17, train}, Set{"validation", true, 20, 4, validation},
                               Set{"unlabelled", false, 30, 5, unlabelled}})
            write_set(folder, set, seed, size, drivers);
        if (!drivers.flush()) throw std::runtime_error("cannot write drivers.csv in " + folder);
    } catch (const std::exception &error) {
        std::cerr << "draw-drivers: " << error.what() << "\n";
        return 1;
    }
    return 0;
}
