//! The page is built by npm, before this; here is only seen to it that a page that was built anew is taken up. Without
//! one the folder is empty, and the program says how to build it.

fn main() {
    println!("cargo:rerun-if-changed=dist");
    // One that is missing would be looked for, and everything built anew, each time.
    let _ = std::fs::create_dir_all("dist");
}
