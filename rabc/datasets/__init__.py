"""A LeRobotDataset as this program reads it: where it comes from, tables, pictures, labels, identity.

`frames` keeps decoded pictures in a cache (`cache` says where, `filling` fills it), `decoding` reads them
from videos, `columns` are parquet files with a number for every frame.
"""
