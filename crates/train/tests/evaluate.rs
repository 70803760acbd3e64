//! Evaluation through an executor: the same numbers whatever the batch, by hand or in ten views.

mod world;

use std::ops::ControlFlow::Continue;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use data::{BadImages, Pipeline, Statistics, Views};
use net::{Executor, Kind};
use train::{EvaluateOptions, Evaluation, evaluate::evaluate};
use world::*;

fn pipeline() -> Arc<Pipeline> {
    let recipe = recipe();
    let (statistics, _) =
        Statistics::compute(&*dataset().train, &recipe.preprocessing, 1, BadImages::Stop, &mut |_, _| Continue(())).unwrap();
    Arc::new(Pipeline::new(recipe.preprocessing, statistics, net().input()).unwrap())
}

fn evaluated(capacity: usize, threads: usize, views: Views) -> Evaluation {
    let mut exec = engine(&net(), capacity, threads);
    exec.load(Kind::Weights, &net().initial_params(2)).unwrap();
    let options = EvaluateOptions { views, threads, bad: BadImages::Stop };
    let mut last = (0, 0);
    let stop = AtomicBool::new(false);
    let found = evaluate(&mut exec, &dataset().val, &pipeline(), &options, &stop, &mut |done, total| last = (done, total));
    assert_eq!(last, (VAL as u64, VAL as u64));
    found.unwrap().unwrap()
}

#[test]
fn batch_and_threads_change_no_count() {
    for views in [Views::Centre, Views::Ten] {
        let expected = evaluated(64, 1, views);
        assert_eq!((expected.images, expected.views), (VAL as u64, views.count()));
        assert_eq!(expected.confusion.iter().sum::<u64>(), VAL as u64);
        assert_eq!(expected.top5.whole, VAL as u64, "there are only four classes");
        for (capacity, threads) in [(1, 1), (2, 3), (4, 2), (10, 1), (13, 2)] {
            let mut other = evaluated(capacity, threads, views);
            // The engine may round a probability otherwise in a batch of another size.
            assert!((other.nll_sum - expected.nll_sum).abs() <= 1e-5 * expected.nll_sum, "{views:?} {capacity}");
            other.nll_sum = expected.nll_sum;
            assert_eq!(other, expected, "{views:?} {capacity}");
        }
    }
}

#[test]
fn an_evaluation_agrees_with_counting_by_hand() {
    let pipeline = pipeline();
    let mut exec = engine(&net(), 1, 1);
    exec.load(Kind::Weights, &net().initial_params(2)).unwrap();
    let (mut wrong, mut nll) = (0u64, 0.0);
    for index in 0..VAL {
        let mut batch = net::Batch::with_capacity(1, net().input().len());
        batch.n = 1;
        let (image, label) = (dataset().val.read(index).unwrap(), dataset().val.label(index) as usize);
        pipeline.test_views(&image, Views::Centre, batch.f32_mut()).unwrap();
        let p = exec.forward(&batch).unwrap();
        let best = (0..CLASSES).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
        wrong += u64::from(best != label);
        nll -= f64::from(p[label]).ln();
    }
    let evaluation = evaluated(1, 1, Views::Centre);
    assert_eq!(evaluation.top1_error(), wrong as f64 / VAL as f64);
    assert!((evaluation.nll() - nll / VAL as f64).abs() < 1e-12);
}

#[test]
fn it_can_be_stopped() {
    let mut exec = engine(&net(), 2, 1);
    let options = EvaluateOptions { views: Views::Centre, threads: 1, bad: BadImages::Stop };
    let stop = AtomicBool::new(true);
    let found = evaluate(&mut exec, &dataset().val, &pipeline(), &options, &stop, &mut |_, _| ()).unwrap();
    assert!(found.is_none());
}
