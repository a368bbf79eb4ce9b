# What made this folder, in order. DIR is CamVid at 480x360 in SegNet's layout (train.txt, val.txt, test.txt).
set -e
DIR=${1:?give the folder of CamVid at 480x360}
OUT=results/reference/protocols

run=(python bench.py run -d camvid --data-root "$DIR" -c 'h264[bitrate=1M]' --runs $OUT/runs)
methods=(-m pspnet -m copy -m warp -m 'arseg[scale=0.5]')
"${run[@]}" "${methods[@]}" --measure boundary,consistency
for protocol in every-distance 'every-distance[until=label]'; do
    "${run[@]}" "${methods[@]}" --protocol "$protocol" --measure boundary
done

for format in md csv; do
    python bench.py scores --base pspnet --runs $OUT/runs --strict --format $format > $OUT/scores.$format
done
python bench.py plot distance --no-intervals --runs $OUT/runs --strict -o $OUT/distance.png
python tools/repack_results.py $OUT
