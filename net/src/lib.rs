//! Wire codecs: bytes in, typed requests out.
