"""From the scores of a dataset to the weight of every frame, and the page that shows what weights do.

`assign` goes the whole way: scores -> `progress` -> deltas over chunks and `schemes` -> weights of mean 1.
`progress_file` and `weights_file` are what other tools read and write.
"""
