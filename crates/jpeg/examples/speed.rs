//! How fast one thread decodes files that are in memory: `speed [ROUNDS] FILE…`. Prints the median of the rounds for whole
//! pictures, for their middle (half of each side), and for each smaller scale; and what it would be if each file took as long
//! as in its best round, which a busy machine disturbs less.

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
    let mut best = [const { Vec::new() }; 5].map(|_: Vec<f64>| vec![f64::INFINITY; files.len()]);
    // The first round warms up.
    for round in 0..=rounds.unwrap_or(5) {
        for (((_, scale, choose), seconds), best) in jobs.iter().zip(&mut seconds).zip(&mut best) {
            let mut sum = 0.0;
            for (file, best) in files.iter().zip(best) {
                let started = Instant::now();
                let header = Header::parse(file).expect("a JPEG");
                let region = choose(&header, scale.size(header.width, header.height));
                decoder.decode(file, *scale, region, &mut rgb).expect("a picture");
                let taken = started.elapsed().as_secs_f64();
                *best = best.min(taken);
                sum += taken;
            }
            if round > 0 {
                seconds.push(sum);
            }
        }
    }
    for (((name, ..), mut seconds), best) in jobs.into_iter().zip(seconds).zip(best) {
        seconds.sort_by(f64::total_cmp);
        let (median, best) = (seconds[seconds.len() / 2], best.iter().sum::<f64>());
        let count = files.len() as f64;
        println!("{name:8} {:8.1} images/s {:8.1} MB/s, at best {:8.1}", count / median, mega_bytes / median, count / best);
    }
}
