//! Ties the binary to the Python that it is built for: the run path of its library, and its
//! executable, from which the interpreter finds its standard library and packages at run time.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    pyo3_build_config::add_libpython_rpath_link_args();
    let config = pyo3_build_config::get();
    println!("cargo:rustc-env=MM_PYTHON_EXECUTABLE={}", config.executable().unwrap_or_default());
    let version = config.version();
    println!("cargo:rustc-env=MM_PYTHON_VERSION={}.{}", version.major, version.minor);
}
