//! The published sizes: one table, of which everything that tells sizes apart is made.

use std::fmt;
use std::str::FromStr;

use crate::error::ConfigError;

/// What timm has under the name of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InTimm {
    /// Whether it has a V1 of that size.
    pub(crate) v1: bool,
    /// Whether it has a V2 of that size.
    pub(crate) v2: bool,
    /// Whether the linear layers of its blocks are 1×1 convolutions there.
    pub(crate) linear_as_convolution: bool,
}

const SMALL: InTimm = InTimm { v1: true, v2: true, linear_as_convolution: true };
const LARGE: InTimm = InTimm { v1: true, v2: true, linear_as_convolution: false };
const ONLY_V2: InTimm = InTimm { v1: false, v2: true, linear_as_convolution: false };

/// The sizes from rows of: variant, lower-case name, blocks of each stage, channels of the first stage, each later
/// stage having twice those of the one before; what timm has of it.
macro_rules! sizes {
    ($($(#[$doc:meta])* $size:ident $name:literal $depths:tt $width:literal $timm:ident;)+) => {
        /// The published sizes of ConvNeXt V2.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Size {
            $($(#[$doc])* $size,)+
        }

        impl Size {
            /// All sizes, smallest first.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$size),+];

            /// The lower-case name, as in `convnextv2_atto`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$size => $name,)+ }
            }

            /// Blocks in each of the four stages.
            pub fn depths(self) -> [usize; 4] {
                match self { $(Self::$size => $depths,)+ }
            }

            /// Channels in each of the four stages.
            pub fn widths(self) -> [usize; 4] {
                let first = match self { $(Self::$size => $width,)+ };
                [first, 2 * first, 4 * first, 8 * first]
            }

            pub(crate) fn in_timm(self) -> InTimm {
                match self { $(Self::$size => $timm,)+ }
            }
        }
    };
}

sizes! {
    /// 3.7 M parameters.
    Atto  "atto"  [2, 2, 6, 2]   40 SMALL;
    /// 5.2 M parameters.
    Femto "femto" [2, 2, 6, 2]   48 SMALL;
    /// 9.1 M parameters.
    Pico  "pico"  [2, 2, 6, 2]   64 SMALL;
    /// 15.6 M parameters.
    Nano  "nano"  [2, 2, 8, 2]   80 SMALL;
    /// 28.6 M parameters.
    Tiny  "tiny"  [3, 3, 9, 3]   96 LARGE;
    /// 88.7 M parameters.
    Base  "base"  [3, 3, 27, 3] 128 LARGE;
    /// 198 M parameters.
    Large "large" [3, 3, 27, 3] 192 LARGE;
    /// 660 M parameters.
    Huge  "huge"  [3, 3, 27, 3] 352 ONLY_V2;
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Size {
    type Err = ConfigError;

    /// Takes `atto` as well as `convnextv2_atto`.
    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let short = name.strip_prefix("convnextv2_").unwrap_or(name);
        Self::ALL.into_iter().find(|size| size.name() == short).ok_or_else(|| {
            ConfigError::UnknownSize {
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}
