"""The capture worker: a camera's frames in, detections out. Read it in the order of the data.

sources    a file, directory, URL, webcam or simulated scene as a generator of frames
reader     the thread that runs that generator, as decoding blocks; one that hangs is given up, and the source read in
           a process that can be killed (``sources.isolated``)
mailbox    the one slot between thread and event loop: the newest frame wins
feed       reconnects, notices a stall, says what state the camera is in
inference  the one thread in which frames are looked at; cameras may share it
eyes       what is done to a frame there: detectors -> tracking -> clustering -> pictures
evidence   puts a group's picture where the LLM scheduler finds it, before the event that names it
worker     the above for one camera
sink       where detections go: Kafka, or whoever implements its protocol in process
fleet      several workers while the cameras change; ``reloading`` says when they do
probe      one look at a source, in a process of its own: what it is, or why it cannot be seen
run        several workers until they end or are told to; the command line
"""
