//! How fast an index is searched: `nearest INDEX ROUNDS [THREADS]` prints one line of JSON. The file is mapped anew in each round,
//! as by a command that answers one query; the queries are its own rows.

use std::path::Path;
use std::time::Instant;

use cpu::nearest::{self, Search, Vectors};
use weights::features::{Table, Values};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, rounds) = (Path::new(&arguments[0]), arguments[1].parse::<usize>().expect("a number of rounds"));
    let threads = arguments.get(2).map(|threads| threads.parse().expect("a number of threads"));
    let search = Search::new(threads, None).expect("threads");
    let (mut open_ms, mut search_ms, mut again_ms, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 0..rounds {
        let start = Instant::now();
        let table = Table::open(path).expect("an index");
        let values = if table.values() == Values::F16 { nearest::Values::F16 } else { nearest::Values::F32 };
        let vectors = Vectors::new(values, table.width(), table.rows()).expect("rows");
        bytes = table.rows().len();
        let row = round * 7919 % table.len();
        let query = vectors.get(row).expect("a row");
        open_ms.push(start.elapsed().as_secs_f64() * 1e3);
        for times in [&mut search_ms, &mut again_ms] {
            let start = Instant::now();
            let found = search.nearest(&vectors, &query, 6).expect("a query");
            times.push(start.elapsed().as_secs_f64() * 1e3);
            assert_eq!((found[0][0].index, found[0][0].squared_distance), (row, 0.0));
        }
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (open_ms, search_ms, again_ms) = (median(&mut open_ms), median(&mut search_ms), median(&mut again_ms));
    let peaks = cpu::peaks::measure(threads, None).expect("memory");
    let (floor_ms, read) = (bytes as f64 / peaks.read_bytes_per_s * 1e3, peaks.read_bytes_per_s);
    println!(
        "{{\"open_ms\": {open_ms:.1}, \"search_ms\": {search_ms:.1}, \"search_again_ms\": {again_ms:.1}, \"bytes\": {bytes}, \
         \"read_bytes_per_s\": {read:.4e}, \"floor_ms\": {floor_ms:.1}}}"
    );
}
