//! Structures in two languages.

use std::marker::PhantomData;

/// A type that crosses over to kernels.
pub(crate) trait CType: Copy {
    /// Its name there.
    const NAME: &'static str;
}

/// A structure that crosses over.
pub(crate) trait Struct: Copy {
    /// Writes its C text.
    const C: fn() -> String;

    /// Its bytes.
    fn bytes(&self) -> Vec<u8>;
}

/// An address in the device's memory, or 0.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Ptr<T> {
    pub(crate) address: u64,
    of: PhantomData<T>,
}

impl<T> Ptr<T> {
    /// Nowhere.
    pub(crate) const NULL: Ptr<T> = Ptr::at(0);

    pub(crate) const fn at(address: u64) -> Ptr<T> {
        Ptr { address, of: PhantomData }
    }
}

impl<T> Clone for Ptr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ptr<T> {}

impl<T> PartialEq for Ptr<T> {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

/// Marks of what a [`Ptr`] points at: a value of the precision that the kernels are compiled for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Elem {}

/// Values of the kernels' precision: `elem*`.
pub(crate) type Elems = Ptr<Elem>;
/// `float*`
pub(crate) type Floats = Ptr<f32>;
/// `u32*`
pub(crate) type Uints = Ptr<u32>;
/// `u8*`
pub(crate) type Bytes = Ptr<u8>;

macro_rules! c_types {
    ($($rust:ty = $c:literal),+ $(,)?) => { $(impl CType for $rust { const NAME: &'static str = $c; })+ };
}

c_types! {
    u64 = "u64", u32 = "u32", i32 = "int", f32 = "float", f64 = "double",
    Elems = "elem*", Floats = "float*", Uints = "u32*", Bytes = "u8*", Ptr<super::Step> = "const Step*", Ptr<super::Look> = "const Look*",
}

/// Declares structures of [`CType`] fields, which structures declared before may be. There may be no padding: fields of 8 bytes come first, and the size is a multiple of 8
/// where there are any.
macro_rules! args {
    ($($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),+ $(,)? })+) => { $(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        #[repr(C)]
        $vis struct $name { $($(#[$field_meta])* pub(crate) $field: $type,)+ }

        // No padding: every byte is written, and a kernel reads what was written.
        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$type>())+);

        impl $crate::args::CType for $name {
            const NAME: &'static str = stringify!($name);
        }

        impl $crate::args::macros::ToBytes for $name {
            type Bytes = Vec<u8>;

            fn to_bytes(self) -> Vec<u8> {
                $crate::args::Struct::bytes(&self)
            }
        }

        impl $crate::args::Struct for $name {
            const C: fn() -> String = || {
                let mut text = format!("struct {} {{\n", stringify!($name));
                $(text += &format!("    {} {};\n", <$type as $crate::args::CType>::NAME, stringify!($field));)+
                text + &format!("}};\nstatic_assert(sizeof({0}) == {1}, \"{0}\");\n", stringify!($name), size_of::<$name>())
            };

            fn bytes(&self) -> Vec<u8> {
                let mut bytes = Vec::with_capacity(size_of::<$name>());
                $(bytes.extend_from_slice(&$crate::args::macros::ToBytes::to_bytes(self.$field).as_ref());)+
                bytes
            }
        }
    )+ };
}
pub(crate) use args;

/// The bytes of a field.
pub(crate) trait ToBytes {
    /// They are of this form.
    type Bytes: AsRef<[u8]>;

    fn to_bytes(self) -> Self::Bytes;
}

macro_rules! to_bytes {
    ($($rust:ty),+) => { $(impl ToBytes for $rust {
        type Bytes = [u8; size_of::<$rust>()];

        fn to_bytes(self) -> Self::Bytes {
            self.to_ne_bytes()
        }
    })+ };
}

to_bytes!(u64, u32, i32, f32, f64);

impl<T> ToBytes for Ptr<T> {
    type Bytes = [u8; 8];

    fn to_bytes(self) -> [u8; 8] {
        self.address.to_ne_bytes()
    }
}
