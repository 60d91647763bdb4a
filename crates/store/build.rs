//! A new migration file rebuilds the crate that embeds it.

fn main() {
    // Cargo reads this from standard output.
    #[allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]
    {
        println!("cargo:rerun-if-changed=../../migrations");
    }
}
