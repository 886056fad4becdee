//! Compiles the kernels of `fcmae-cuda` as C++.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    println!("cargo::rerun-if-changed=../kernels");
    // Fibers are those of the GNU library on Linux.
    let target = ["OS", "ENV"].map(|part| std::env::var(format!("CARGO_CFG_TARGET_{part}")));
    if target != [Ok("linux".to_owned()), Ok("gnu".to_owned())] {
        return;
    }
    let kernels = Path::new("../kernels");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").define("FCMAE_EMULATED", None).include("cpp").include(kernels);
    // A thread's products and sums are rounded one by one: a card that fuses them differs by a rounding.
    build.flag("-ffp-contract=off").flag("-Wno-unknown-pragmas").opt_level(2);
    build.file("cpp/emulated.cpp").file("cpp/faulty.cpp");
    for entry in std::fs::read_dir(kernels).expect("the folder of the kernels") {
        let path = entry.expect("an entry of the kernels' folder").path();
        if path.extension().is_some_and(|extension| extension == "cu") {
            // GCC and Clang don't take a file with this ending for C++.
            build.file(copied(&path));
        }
    }
    // Kernels are found by a list that they enter themselves: nothing refers to them by name.
    build.link_lib_modifier("+whole-archive").compile("fcmae_cuda_emulated");
}

/// A file of the build folder that includes `kernel`, with an ending that says C++.
fn copied(kernel: &Path) -> std::path::PathBuf {
    let folder = std::env::var("OUT_DIR").expect("cargo's folder for what a build makes");
    let name = kernel.file_stem().expect("a kernel's name");
    let path = Path::new(&folder).join(name).with_extension("cpp");
    let file = kernel.file_name().expect("a kernel's name").to_string_lossy();
    std::fs::write(&path, format!("#include \"{file}\"\n")).expect("room for a small file");
    path
}
