"""LeRobot's own clients on the simulated SO-101.

A plugin in LeRobot's sense: `--robot.discover_packages_path=rabc.robot` (lerobot-rollout) or
`--env.discover_packages_path=rabc.robot` (lerobot-eval) imports every module in here, which registers the
simulated arm with LeRobot and gymnasium. docs/robot.md has the commands.
"""
