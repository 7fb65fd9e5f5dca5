//! The one symbol of a plugin and the root module behind it.

use abi_stable::StableAbi;
use abi_stable::library::{RootModule, RootModuleResult};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RResult, RStr, RString};
use abi_stable::{declare_root_module_statics, package_version_strings};

use crate::guard::guard;
use crate::host::HostHandle;
use crate::provider::ProviderObject;
use crate::types::AbiError;

/// What a provider is opened with.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct OpenRequest {
    /// JSON: `{"chain", "provider", "network", "identity" or null, "options"}`.
    pub settings: RString,
    /// Zero.
    pub reserved: [u64; 4],
}

/// The root module.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = Root_Ref)))]
#[sabi(missing_field(option))]
pub struct Root {
    /// The manifest that the stamp carries; the host compares the two.
    pub manifest: RStr<'static>,
    /// Opens one provider. Runs no I/O.
    #[sabi(last_prefix_field)]
    pub open: extern "C" fn(HostHandle, OpenRequest) -> RResult<ProviderObject, AbiError>,
}

impl RootModule for Root_Ref {
    declare_root_module_statics! {Root_Ref}

    const BASE_NAME: &'static str = "scanhost_plugin";
    const NAME: &'static str = "scanhost_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// A plugin's library, in ordinary Rust.
pub trait Library {
    /// The manifest's bytes, UTF-8.
    const MANIFEST: &'static [u8];

    /// Opens one provider.
    ///
    /// # Errors
    ///
    /// Why it cannot be opened.
    fn open(host: HostHandle, request: &OpenRequest) -> Result<ProviderObject, AbiError>;
}

/// What the exported header's constructor calls.
pub extern "C" fn construct<L: Library>() -> RootModuleResult {
    abi_stable::library::__call_root_module_loader(root::<L>)
}

fn root<L: Library>() -> Root_Ref {
    let manifest = std::str::from_utf8(L::MANIFEST).unwrap_or_default();
    // Once per library, which is never unloaded.
    Root {
        manifest: RStr::from_str(manifest),
        open: open::<L>,
    }
    .leak_into_prefix()
}

extern "C" fn open<L: Library>(
    host: HostHandle,
    request: OpenRequest,
) -> RResult<ProviderObject, AbiError> {
    guard("open", || L::open(host, &request)).flatten().into()
}

/// Exports a [`Library`] from the crate that calls it: the stamp in its section, and the symbol
/// `_1as_0lib_1header_0root_bmodule_bloader` that `abi_stable` looks for.
///
/// Written by hand where `#[export_root_module]` would do, since that attribute needs `abi_stable`
/// among the plugin's own dependencies.
#[macro_export]
macro_rules! export_library {
    ($library:ty) => {
        const _: () = {
            const SIZE: usize = <$library as $crate::root::Library>::MANIFEST.len();

            #[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__scanhost"))]
            #[cfg_attr(not(target_os = "macos"), unsafe(link_section = ".scanhost"))]
            #[used]
            static STAMP: $crate::Stamp<SIZE> = $crate::Stamp::new(
                *<$library as $crate::root::Library>::MANIFEST
                    .as_array()
                    .expect("its own size"),
                cfg!(panic = "unwind"),
                cfg!(debug_assertions),
            );

            // SAFETY: `construct` returns an erased `Root_Ref`, the type that is named here.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static HEADER: $crate::abi_stable::library::LibHeader = unsafe {
                $crate::abi_stable::library::LibHeader::from_constructor::<$crate::Root_Ref>(
                    $crate::root::construct::<$library>,
                    $crate::abi_stable::library::CheckTypeLayout::Yes,
                )
            };
        };
    };
}
