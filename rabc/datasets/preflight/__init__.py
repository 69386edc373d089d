"""What is wrong with a dataset, found before anything is trained on it: `check.preflight`.

Metadata, tables and the headers of videos are held against each other, the motion of the joints against
itself, and on demand a few pictures of every episode against the joints. A file for each thing that is looked
at; what came out is a list of `findings.Finding`, kept in the user's cache.
"""
