"""The main job (`main_job`): its stages, what each depends on (`state`) and does (`work`), costs, summary.

Beside it the parts that have commands of their own: `score`, `diagnose`, `export`, `closed_loop`, `paper`.
"""
