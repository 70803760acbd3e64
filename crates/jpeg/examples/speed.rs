//! How fast one thread decodes files that are in memory: `speed [ROUNDS] FILE…`. Prints the median of the rounds for whole
//! pictures, for their middle (half of each side), and for each smaller scale.

use std::time::Instant;

use jpeg::{Decoder, Header, Region, Scale};

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = arguments.first().and_then(|a| a.parse().ok());
    if rounds.is_some() {
        arguments.remove(0);
    }
    let files: Vec<Vec<u8>> = arguments.iter().map(|file| std::fs::read(file).expect("a readable file")).collect();
    let mega_bytes = files.iter().map(Vec::len).sum::<usize>() as f64 / 1e6;
    let whole = |_: &Header, (width, height)| Region::whole(width, height);
    let middle = |_: &Header, (width, height): (usize, usize)| Region {
        x: width / 4,
        y: height / 4,
        width: width.div_ceil(2),
        height: height.div_ceil(2),
    };
    type Choose = fn(&Header, (usize, usize)) -> Region;
    let jobs: [(&str, Scale, Choose); 5] = [
        ("whole", Scale::Full, whole),
        ("middle", Scale::Full, middle),
        ("half", Scale::Half, whole),
        ("quarter", Scale::Quarter, whole),
        ("eighth", Scale::Eighth, whole),
    ];
    let mut decoder = Decoder::default();
    let mut rgb = Vec::new();
    let mut seconds = [const { Vec::new() }; 5];
    // The first round warms up.
    for round in 0..=rounds.unwrap_or(5) {
        for ((_, scale, choose), seconds) in jobs.iter().zip(&mut seconds) {
            let started = Instant::now();
            for file in &files {
                let header = Header::parse(file).expect("a JPEG");
                let region = choose(&header, scale.size(header.width, header.height));
                decoder.decode(file, *scale, region, &mut rgb).expect("a picture");
            }
            if round > 0 {
                seconds.push(started.elapsed().as_secs_f64());
            }
        }
    }
    for ((name, ..), mut seconds) in jobs.into_iter().zip(seconds) {
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        println!("{name:8} {:8.1} images/s {:8.1} MB/s", files.len() as f64 / median, mega_bytes / median);
    }
}
