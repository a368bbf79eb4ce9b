# What made this folder, in order. DIR is CamVid at 480x360 in SegNet's layout (train.txt, val.txt, test.txt).
set -e
DIR=${1:?give the folder of CamVid at 480x360}
OUT=results/reference/protocols
RUNS=results/runs-of-protocols

run=(python bench.py run -d camvid --data-root "$DIR" -c 'h264[bitrate=1M]' --runs $RUNS)
methods=(-m pspnet -m copy -m warp -m 'arseg[scale=0.5]')
"${run[@]}" "${methods[@]}" --measure boundary,consistency
for protocol in every-distance 'every-distance[until=label]'; do
    "${run[@]}" "${methods[@]}" --protocol "$protocol" --measure boundary
done

# the times of a machine that had other work are nobody's
rm -f $RUNS/*/latency.npz
python bench.py collect $RUNS -o $OUT/runs.tar.xz
for format in md csv; do
    python bench.py scores --base pspnet --runs $OUT/runs.tar.xz --strict --format $format > $OUT/scores.$format
done
python bench.py plot distance --no-intervals --runs $OUT/runs.tar.xz --strict -o $OUT/distance.png
python tools/repack_results.py $OUT
