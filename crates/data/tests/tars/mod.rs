//! Tar files, written header by header.

/// A tar file of these files, in this order.
pub(crate) fn tar<N: AsRef<str>, C: AsRef<[u8]>>(files: impl IntoIterator<Item = (N, C)>) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, content) in files {
        let (name, content) = (name.as_ref().as_bytes(), content.as_ref());
        if name.len() > 100 {
            let longer = [name, b"\0"].concat();
            tar.extend(header(b"././@LongLink", longer.len(), b'L'));
            tar.extend(padded(&longer));
        }
        tar.extend(header(&name[..name.len().min(100)], content.len(), b'0'));
        tar.extend(padded(content));
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn header(name: &[u8], size: usize, kind: u8) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..108].copy_from_slice(b"0000644\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[148..156].fill(b' ');
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.resize(content.len().next_multiple_of(512), 0);
    bytes
}
